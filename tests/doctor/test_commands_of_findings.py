"""What the doctor tells somebody to type is there to be typed: fault 60."""

import importlib
import pkgutil
import re

import app.doctor
from app.doctor.finding import Wording

# What a Debian has that followed docs/install.md, and ours; what a finding is about (nginx, ufw) is there with it.
THERE = """
./fix_ssl_certificate.sh aisha-webhook apt certbot chgrp chmod chown cp curl cut date df docker du free getent git grep
install ip journalctl ls make mkdir mv nano nft nginx openssl psql python3 rm sed sort ss stat sudo systemctl tail
timedatectl ufw umask
"""
START = re.compile(r"(?:^|&& |\| |; |\()\s*(?:sudo (?:-u \S+ )?)?(?:\w+=\S+ )*([\w./][\w./-]*)")


def commands() -> set[str]:
    """Every command of every catalogue of the doctor."""
    found = set()
    for module in pkgutil.walk_packages(app.doctor.__path__, "app.doctor."):
        for value in vars(importlib.import_module(module.name)).values():
            if isinstance(value, dict):
                found |= {one.command for one in value.values() if isinstance(one, Wording) and one.command}
    return found


def test_no_command_needs_a_program_that_is_not_there() -> None:
    """A minimal Debian has no `dig`: a remedy that ends in "command not found" is none."""
    assert len(commands()) > 40
    typed = {program for command in commands() for program in START.findall(command)}
    assert typed - set(THERE.split()) == set()


def test_a_certificate_is_ordered_so_that_it_renews() -> None:
    """`certbot --manual` asks a person again every time: no remedy orders one so."""
    ordered = [command for command in commands() if "certbot certonly" in command]
    assert ordered
    assert [command for command in ordered if "--manual" in command] == []
