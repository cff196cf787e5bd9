# SPDX-License-Identifier: GPL-3.0-or-later
"""Run by the Python of a chdb environment: answers one query per line, in JSON. Argument: a folder for the data."""

from __future__ import annotations

import json
import os
import sys

from chdb import session

# The engine reads the rows of an INSERT from its standard input as well.
requests = os.fdopen(os.dup(0), encoding="utf-8")
os.dup2(os.open(os.devnull, os.O_RDONLY), 0)

opened = session.Session(*sys.argv[1:])
for line in requests:
    try:
        answer = {"text": str(opened.query(json.loads(line), "TabSeparated")), "error": ""}
    except Exception as error:  # Any error of the engine is the answer.
        answer = {"text": "", "error": str(error)}
    print(json.dumps(answer), flush=True)
