"""Tests that need a program which a machine may lack are not collected without it."""

import shutil

_PROGRAMS = {"test_promtool.py": "promtool", "test_systemd_analyze.py": "systemd-analyze"}

collect_ignore = [file for file, program in _PROGRAMS.items() if not shutil.which(program)]
