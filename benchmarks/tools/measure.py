"""Run a command and write its seconds and its peak memory, in bytes, as JSON:  python measure.py RESULT COMMAND...

The peak of a process starts with the memory of its parent. So a small process starts the command.
"""

import json
import resource
import subprocess
import sys
import time
from pathlib import Path

start = time.monotonic()
status = subprocess.call(sys.argv[2:])
seconds = time.monotonic() - start
if status == 0:
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
    Path(sys.argv[1]).write_text(json.dumps({"seconds": seconds, "peak_bytes": peak}) + "\n")
sys.exit(status)
