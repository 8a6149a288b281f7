"""What `make audit` asks of the installation and of the repository.

Reads what is installed beside this Python; the tools come from a folder of their own (`--tools`),
so that they change nothing of it. Reports go to `--out`: the bill of materials (CycloneDX), the
licences, the known vulnerabilities. Exit code 1 if a check fails; a database that can't be reached
is said, and is no failure.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

REPOSITORY = Path(__file__).parent.parent
LOCK = REPOSITORY / "requirements.lock"

SECRETS = {
    "a private key": re.compile(r"-----BEGIN (?:[A-Z]+ )*PRIVATE KEY-----\s"),
    "an AWS key": re.compile(r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b"),
    "a GitHub token": re.compile(r"\bgh[pousr]_[A-Za-z0-9]{36,}\b"),
    "a Slack token": re.compile(r"\bxox[abprs]-[A-Za-z0-9-]{10,}"),
    "a signed token": re.compile(r"\beyJ[\w-]{10,}\.eyJ[\w-]{10,}\.[\w-]{10,}"),
    "a login in an address": re.compile(
        r"\b[a-z][a-z+]{2,}://[^\s/:@'\"{}<>]+:[^\s/@'\"{}<>]{3,}@"
    ),
}
"""What no file of the repository may hold, whoever put it there."""


class Verdict(NamedTuple):
    """How a check ended: `passed` is `None` where it could not be made."""

    passed: bool | None
    words: str


def secrets_in(text: str) -> Iterator[tuple[int, str]]:
    """The lines that hold a secret, and of what kind; the secret itself is not repeated."""
    for number, line in enumerate(text.splitlines(keepends=True), start=1):
        for kind, pattern in SECRETS.items():
            if pattern.search(line):
                yield number, kind


def unhashed(lock: str) -> list[str]:
    """The requirements of a lock that are not pinned, or have no hash.

    >>> unhashed("a==1 \\\\\\n    --hash=sha256:00\\nb==2\\nc>=1 \\\\\\n    --hash=sha256:00\\n")
    ['b==2', 'c>=1']
    """
    entries = re.split(r"\n(?=\S)", lock.strip())
    return [
        entry.split()[0]
        for entry in entries
        if not entry.startswith("#") and ("--hash=sha256:" not in entry or "==" not in entry)
    ]


def vulnerabilities(report: str) -> Verdict:
    """Read pip-audit's report: a package that it skipped was not looked up."""
    found = json.loads(report)["dependencies"]
    asked = [one for one in found if "skip_reason" not in one]
    bad = [f"{one['name']} {one['version']}: {v['id']}" for one in asked for v in one["vulns"]]
    if bad:
        return Verdict(False, "; ".join(bad))
    if len(asked) < len(found) / 2:
        return Verdict(None, f"NOT MADE: the database knew {len(asked)} of {len(found)} packages")
    return Verdict(True, f"none known in {len(asked)} of {len(found)} packages")


def licence_of(package: metadata.Distribution) -> str:
    """The licence that a package states, in its newest form."""
    said: Any = package.metadata  # an email.message.Message, typed as less than that
    classifiers = [
        line.rpartition(" :: ")[2]
        for line in said.get_all("Classifier") or ()
        if line.startswith("License ::")
    ]
    texts = [said.get("License-Expression"), *classifiers, said.get("License")]
    return next(
        (text.splitlines()[0][:80] for text in texts if text and text.strip()), "not stated"
    )


def _run(*command: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        list(map(str, command)), cwd=REPOSITORY, capture_output=True, text=True, check=False
    )


def _said(done: subprocess.CompletedProcess[str], good: str) -> Verdict:
    lines = (done.stdout + done.stderr).strip().splitlines()
    return Verdict(done.returncode == 0, good if done.returncode == 0 else " | ".join(lines[-4:]))


def _secrets(_: Path, __: Path) -> Verdict:
    names = _run("git", "ls-files").stdout.split()
    found = [
        f"{name}:{number} {kind}"
        for name in names
        if (REPOSITORY / name).is_file()
        for number, kind in secrets_in((REPOSITORY / name).read_text("utf-8", "replace"))
    ]
    return Verdict(not found, "; ".join(found) or f"none in {len(names)} files")


def _lock(_: Path, __: Path) -> Verdict:
    for lock in (LOCK, REPOSITORY / "requirements-audit.lock"):
        if bad := unhashed(lock.read_text()):
            return Verdict(False, f"{lock.name}: no version or hash for {', '.join(bad[:5])}")
    uv = Path(sys.executable).parent / "uv"
    done = _run(
        uv, "pip", "sync", "--dry-run", "--require-hashes", "--python", sys.executable, LOCK
    )
    # The lock doesn't list ourselves: to sync would take us out.
    changes = [
        line.strip()
        for line in done.stderr.splitlines()
        if re.match(r"\s*[-+~] ", line) and "tidemill" not in line
    ]
    if done.returncode or changes:
        return Verdict(False, "; ".join(changes[:5]) or done.stderr.strip()[-300:])
    return Verdict(True, "every requirement has a hash, and what is installed is what is locked")


def _code(_: Path, __: Path) -> Verdict:
    ruff = Path(sys.executable).parent / "ruff"
    return _said(
        _run(ruff, "check", "--quiet", "--output-format", "concise"),
        "ruff's rules are kept, those of bandit among them",
    )


def _bill(tools: Path, out: Path) -> Verdict:
    path = out / "sbom.cdx.json"
    tool = tools / "cyclonedx-py"
    # Validating its own output takes minutes, and would only say that the tool keeps its format.
    options: list[str | Path] = ["--pyproject", "pyproject.toml", "--no-validate", "-o", path]
    done = _run(tool, "environment", *options, sys.executable)
    if done.returncode:
        return _said(done, "")
    count = len(json.loads(path.read_text())["components"])
    return Verdict(count > 0, f"{count} components in {path}")


def _licences(_: Path, out: Path) -> Verdict:
    rows = sorted(
        {(one.metadata["Name"], one.version, licence_of(one)) for one in metadata.distributions()},
        key=lambda row: row[0].lower(),
    )
    path = out / "licences.tsv"
    path.write_text("".join("\t".join(row) + "\n" for row in rows), encoding="utf-8")
    silent = [name for name, _, licence in rows if licence == "not stated"]
    words = f"{len(rows)} packages in {path}"
    return Verdict(True, words + (f"; not stated by {', '.join(silent)}" if silent else ""))


def _vulnerable(tools: Path, out: Path) -> Verdict:
    site = next(path for path in sys.path if path.endswith("site-packages"))
    done = _run(
        tools / "pip-audit", "--path", site, "--format", "json", "--progress-spinner", "off"
    )
    try:
        verdict = vulnerabilities(done.stdout)
    except ValueError:
        return Verdict(None, f"NOT MADE: {done.stderr.strip().splitlines()[-1:]}")
    (out / "vulnerabilities.json").write_text(done.stdout, encoding="utf-8")
    return verdict


CHECKS: dict[str, Callable[[Path, Path], Verdict]] = {
    "secrets": _secrets,
    "lock": _lock,
    "code": _code,
    "bill of materials": _bill,
    "licences": _licences,
    "vulnerabilities": _vulnerable,
}


def main() -> int:
    """Make every check, say how each ended, and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tools", type=Path, required=True, help="folder of the tools' commands")
    parser.add_argument("--out", type=Path, default=Path("audit"), help="folder for the reports")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    failed = 0
    for name, check in CHECKS.items():
        passed, words = check(options.tools, options.out)
        failed += passed is False
        sign = {True: "ok  ", False: "FAIL", None: "?   "}[passed]
        print(f"{sign} {name:<18} {words}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
