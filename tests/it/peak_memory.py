#!/usr/bin/env python3
"""Runs a command to its end and prints its peak of resident memory in MiB: peak_memory.py COMMAND…"""

import resource
import subprocess
import sys

subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024)
