"""Two processes that meet over the loopback device, each with its rank; a hang is a failure."""

import os
import subprocess
import sys
from pathlib import Path


def two_processes(source: str, folder: Path) -> None:
    """Runs ``source`` twice at once, with sys.argv = [..., rank, folder]; both must end well.

    Processes of their own, because a group that never meets would stop the tests after it too.
    The loopback device, because gloo waits where a machine's name cannot be looked up.
    """
    environment = os.environ | {"OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"}
    code = MEET + source + LEAVE
    processes = [
        subprocess.Popen([sys.executable, "-c", code, str(rank), str(folder)], env=environment)
        for rank in range(2)
    ]
    try:
        assert [process.wait(timeout=120) for process in processes] == [0, 0]
    finally:
        for process in processes:
            process.kill()


MEET = """
import sys
import torch.distributed as dist

rank, folder = int(sys.argv[1]), sys.argv[2]
dist.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
"""

# Not destroy_process_group(): torch's own teardown at times ends a process by std::terminate.
LEAVE = """
import os
dist.barrier()
os._exit(0)
"""
