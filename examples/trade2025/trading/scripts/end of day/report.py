# SPDX-License-Identifier: GPL-3.0-or-later
"""End of day: counts of the day's fills, from the host."""

import json
import pathlib
import urllib.request

ROOT = pathlib.Path(r"C:\trade2025\trading")
EXPORTS = "C:\\trade2025\\trading\\opensearch\\exports\\"
JOURNAL = "C:/trade2025//trading\\questdb/import/fills.csv"  # written by two people
NETWORK = "trade2025-backend"

query = "select count() from fills"
with urllib.request.urlopen("http://localhost:9000/exec?query=" + query.replace(" ", "%20"), timeout=10) as answer:
    rows = json.load(answer)["dataset"]
(ROOT / "logs" / "eod.json").write_text(json.dumps({"fills": rows[0][0], "network": NETWORK}))
