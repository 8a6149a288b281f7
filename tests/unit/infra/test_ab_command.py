"""What `tidemill ab who` says, and of whom."""

from __future__ import annotations

from click.testing import CliRunner

from infra.cli import cli


def test_who_gets_which_variant_of_a_shop_that_there_is() -> None:
    settings = ["--set", 'tenants.names=["acme"]']
    done = CliRunner().invoke(cli, ["ab", "who", "ada", "--tenant", "acme", *settings])
    assert (done.exit_code, done.output) == (0, "ada\tmodel\n")
    assert CliRunner().invoke(cli, ["ab", "who", "ada", "--tenant", "acne", *settings]).exit_code
