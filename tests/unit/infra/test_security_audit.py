"""The audit: what it finds, and that it doesn't call clean what it could not look up."""

from __future__ import annotations

import json

import pytest

from tests.security_audit import LOCK, REPOSITORY, secrets_in, unhashed, vulnerabilities


@pytest.mark.parametrize(
    "line",
    [
        "-----BEGIN " + "PRIVATE KEY-----\n",
        "key = " + "AKIA" + "ABCDEFGHIJKLMNOP",
        "token: " + "ghp_" + "a1" * 20,
        "redis://" + "shop:hunter22@cache:6379",
    ],
)
def test_a_planted_secret_is_found_in_its_line_and_not_repeated(line: str) -> None:
    found = list(secrets_in(f"first\n{line}"))
    assert [number for number, _ in found] == [2]
    assert line.strip() not in found[0][1]


def test_plain_code_and_addresses_are_no_secrets() -> None:
    text = 'url = "https://example.org/a@b"\npassword = os.environ["KAFKA_SASL_PASSWORD"]\n'
    assert list(secrets_in(text)) == []


def test_both_locks_pin_everything_by_hash() -> None:
    for lock in (LOCK, REPOSITORY / "requirements-audit.lock"):
        text = lock.read_text()
        assert unhashed(text) == []
        assert "://" not in text
        assert unhashed(text + "\nextra==1\n") == ["extra==1"]


def test_a_database_that_was_not_reached_is_no_clean_bill() -> None:
    def report(*packages: dict[str, object]) -> str:
        return json.dumps({"dependencies": packages})

    skipped: dict[str, object] = {"name": "a", "skip_reason": "not found"}
    clean: dict[str, object] = {"name": "b", "version": "1", "vulns": []}
    bad: dict[str, object] = {"name": "c", "version": "2", "vulns": [{"id": "PYSEC-1"}]}
    assert vulnerabilities(report(skipped, skipped, clean)).passed is None
    assert vulnerabilities(report(skipped, clean, clean)).passed is True
    assert vulnerabilities(report(skipped, skipped, bad)) == (False, "c 2: PYSEC-1")
