"""What Linux tells of processes, the machine and its caches. Reads /proc; the only things it changes are a process's peak of memory and the page cache."""

import contextlib
import os
import pathlib
import platform
import resource
import shutil
import subprocess
import time

TICKS_PER_S = os.sysconf("SC_CLK_TCK")
DROP_CACHES = pathlib.Path("/proc/sys/vm/drop_caches")


def first_line(command):
    """The first line that a command prints; what hinders it otherwise. Programs that print their version to standard error are read, too."""
    try:
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=30)
    except (OSError, subprocess.SubprocessError) as e:
        return f"unknown ({e})"
    return done.stdout.strip().partition("\n")[0] or "unknown"


def cpu_seconds(pid):
    """(user, system) seconds that a process and all its threads have used."""
    after_name = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(after_name[11]) / TICKS_PER_S, int(after_name[12]) / TICKS_PER_S


def memory_bytes(pid):
    """(resident now, largest since the last reset_peak) of a process."""
    kept = {}
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        key, _, value = line.partition(":")
        if key in ("VmRSS", "VmHWM"):
            kept[key] = int(value.split()[0]) * 1024
    return kept.get("VmRSS", 0), kept.get("VmHWM", 0)


def reset_peak(pid):
    with contextlib.suppress(OSError):
        pathlib.Path(f"/proc/{pid}/clear_refs").write_text("5")


def machine_cpu_seconds():
    """(busy, stolen) seconds of all cores since the machine started; `stolen` is what a hypervisor gave to somebody else."""
    user, nice, system, _, _, irq, softirq, steal = (int(n) / TICKS_PER_S for n in pathlib.Path("/proc/stat").read_text().split("\n")[0].split()[1:9])
    return user + nice + system + irq + softirq, steal


def children_cpu_seconds():
    """CPU seconds of this process and of its children that ended and were waited for."""
    own, children = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    return own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime


def used_bytes(folder):
    """What the files below a folder take on the disk. Files that go away meanwhile count as gone."""
    total = 0
    for path, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(OSError):
                total += os.lstat(os.path.join(path, name)).st_blocks * 512
    return total


def forget_files(folder):
    """Has the files below `folder` read from the disk next time: writes them out and drops them from the page cache. Says in words how."""
    for path, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(OSError):
                fd = os.open(os.path.join(path, name), os.O_RDONLY)
                try:
                    os.fsync(fd)
                    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
                finally:
                    os.close(fd)
    try:
        os.sync()
        DROP_CACHES.write_text("3\n")
    except OSError as e:
        return f"posix_fadvise(DONTNEED) on every file of the broker; drop_caches was refused ({e.strerror}), so run it as root to be surer"
    return "sync, then posix_fadvise(DONTNEED) on every file of the broker and 3 into /proc/sys/vm/drop_caches"


def raise_file_limit():
    """As many open files as are allowed, for thousands of connections; brokers and generators inherit it. Returns the limit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


def file_system(folder):
    """(type, device, mount options) of the file system that a folder is on."""
    folder = os.path.realpath(folder)
    best = ("", "unknown", "unknown", "")
    for line in pathlib.Path("/proc/mounts").read_text().splitlines():
        device, where, kind, options = line.split()[:4]
        where = where.replace("\\040", " ")
        if (folder == where or folder.startswith(where.rstrip("/") + "/")) and len(where) >= len(best[0]):
            best = (where, kind, device, options)
    return best[1:]


def disk_model(device):
    block = pathlib.Path("/sys/class/block") / pathlib.Path(device).name
    for folder in (block, block.resolve().parent):
        with contextlib.suppress(OSError):
            return (folder / "device" / "model").read_text().strip()
    return "not told (virtual?)"


def machine(folder):
    """The facts that somebody needs to judge figures, in words."""
    cpu = [line.partition(":")[2].strip() for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines() if line.startswith(("model name", "Hardware", "Model"))]
    memory_kib = int(pathlib.Path("/proc/meminfo").read_text().split()[1])
    kind, device, options = file_system(folder)
    virtual = "hypervisor" in pathlib.Path("/proc/cpuinfo").read_text()
    product = "unknown"
    with contextlib.suppress(OSError):
        product = pathlib.Path("/sys/class/dmi/id/product_name").read_text().strip()
    return {
        "cores": str(len(os.sched_getaffinity(0))),
        "CPU": cpu[0] if cpu else platform.machine(),
        "memory": f"{memory_kib / 1048576:.1f} GiB",
        "kernel": f"{platform.system()} {platform.release()}",
        "machine": f"{product} ({'virtual' if virtual else 'no hypervisor seen'})",
        "file system of the data": f"{kind} ({options})",
        "disk": f"{device}, {disk_model(device)}, {shutil.disk_usage(folder).free / 1e9:.0f} GB free",
        "load average before": " ".join(f"{load:.2f}" for load in os.getloadavg()),
        "open files allowed": str(resource.getrlimit(resource.RLIMIT_NOFILE)[0]),
    }


class Watch:
    """What the whole machine did while something ran: how much of it was neither the broker nor a child of this process."""

    def __init__(self, pid):
        self.pid, self.began = pid, time.monotonic()
        self.busy, self.steal = machine_cpu_seconds()
        self.own, self.broker = children_cpu_seconds(), sum(cpu_seconds(pid))

    def seen(self):
        """After the children have been waited for: {"wall_s", "others_cores", "stolen_cores", "load_cpu_s", "broker_cpu_s"}."""
        wall = max(time.monotonic() - self.began, 1e-6)
        busy, steal = machine_cpu_seconds()
        own, broker = children_cpu_seconds() - self.own, sum(cpu_seconds(self.pid)) - self.broker
        others = max(busy - self.busy - own - broker, 0)
        return {"wall_s": wall, "others_cores": others / wall, "stolen_cores": (steal - self.steal) / wall, "load_cpu_s": own, "broker_cpu_s": broker}
