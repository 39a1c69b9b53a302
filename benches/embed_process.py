"""What of `facesearch` is measured from outside: its start, and the memory of `index`.

    python benches/embed_process.py start FACESEARCH PHOTO
    python benches/embed_process.py memory FACESEARCH PHOTOS DIR COUNT... [-- OPTION...]

`start` prints the milliseconds from starting `represent` on a photo to its end, everything opened
and one face embedded: the best of 15. `memory` prints the largest resident size of `index --threads
2` over COUNT photos of 12 megapixels: the first 40 are those of PHOTOS enlarged, the others the
same with other last bytes, which are other content and the same work. Needs Pillow. DIR gets the
photos, which stay for the next run, and the index; `index` gets the options too.
"""

import os
import pathlib
import shutil
import subprocess
import sys
import time

ENLARGED = 40


def start(program, photo):
    for threads in ("1", "2"):
        best = float("inf")
        for _ in range(15):
            begin = time.perf_counter()
            command = [program, "represent", photo, "--json", "--offline", "--threads", threads]
            subprocess.run(
                command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            )
            best = min(best, time.perf_counter() - begin)
        print(
            f"| start to the end of `represent` | {threads} | - | {best * 1e3:.0f} ms | | | |",
            flush=True,
        )


def enlarge(photos, folder):
    from PIL import Image

    kinds = (".jpg", ".jpeg", ".png")
    files = [p for p in sorted(pathlib.Path(photos).rglob("*")) if p.suffix.lower() in kinds]
    for n in range(ENLARGED):
        to = folder / f"{n:05}.jpg"
        if not to.exists():
            photo = Image.open(files[n * len(files) // ENLARGED]).convert("RGB")
            photo.resize((4000, 3000), Image.BILINEAR).save(to, quality=92)


def memory(program, photos, folder, counts, options):
    folder = pathlib.Path(folder)
    (folder / "photos").mkdir(parents=True, exist_ok=True)
    enlarge(photos, folder / "photos")
    for count in map(int, counts):
        taken = folder / f"take-{count}"
        taken.mkdir(exist_ok=True)
        for n in range(count):
            to = taken / f"{n:05}.jpg"
            if not to.exists():
                # Bytes behind a JPEG's end are not looked at.
                original = (folder / "photos" / f"{n % ENLARGED:05}.jpg").read_bytes()
                to.write_bytes(original + n.to_bytes(4, "little"))
        index = folder / "index"
        shutil.rmtree(index, ignore_errors=True)
        begin = time.perf_counter()
        command = [program, "index", str(taken), "--index", str(index)]
        command += ["--threads", "2", "--offline", "-q"]
        child = subprocess.Popen(command + options, stdout=subprocess.DEVNULL)
        _, status, used = os.wait4(child.pid, 0)
        took = time.perf_counter() - begin
        assert status == 0, f"index ended with {status}"
        print(
            f"| memory of `index`, {count} photos of 12 megapixels | 2 | - "
            f"| {used.ru_maxrss / 1024:.0f} MiB, {count / took:.1f} photos a second | | | |",
            flush=True,
        )
        shutil.rmtree(taken)


match sys.argv[1:]:
    case ["start", program, photo]:
        start(program, photo)
    case ["memory", program, photos, folder, *rest]:
        at = rest.index("--") if "--" in rest else len(rest)
        memory(program, photos, folder, rest[:at], rest[at + 1 :])
    case _:
        sys.exit(__doc__)
