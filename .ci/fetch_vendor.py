"""Fetch what the page takes from others, as inference/page/vendor/vendor.toml names it: `make vendor`.

Each package is a tarball of the npm registry. A file is written only if it has the SHA-256 of the list; with
`--accept` the list takes the new ones, for a change of version. Only the standard library is needed, and no Node.
"""

import argparse
import hashlib
import io
import re
import sys
import tarfile
import tomllib
import urllib.request
from pathlib import Path

FOLDER = Path(__file__).parents[1] / "inference" / "page" / "vendor"
LIST = FOLDER / "vendor.toml"


def members(url: str) -> dict[str, bytes]:
    """Return path -> bytes of the files of a tarball."""
    if not url.startswith("https://"):
        raise SystemExit(f"{url}: only https:// is fetched")
    with urllib.request.urlopen(url, timeout=60) as answer:
        raw = answer.read()
    with tarfile.open(fileobj=io.BytesIO(raw)) as archive:
        files = ((entry.name, archive.extractfile(entry)) for entry in archive if entry.isfile())
        return {name.removeprefix("package/"): file.read() for name, file in files if file is not None}


def main() -> int:
    """Fetch every file, and return 1 if one is not what the list says."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--accept", action="store_true", help="write the SHA-256 of what was fetched into the list")
    accept = parser.parse_args().accept
    text, num_wrong = LIST.read_text("utf-8"), 0
    for package in tomllib.loads(text)["package"]:
        found = members(package["url"])
        for file in package["files"]:
            raw = found[file["member"]]
            digest = hashlib.sha256(raw).hexdigest()
            if digest != file["sha256"] and accept:
                text = re.sub(rf'(name = "{re.escape(file["name"])}",[^}}]*sha256 = ")[^"]*', rf"\g<1>{digest}", text)
            elif digest != file["sha256"]:
                print(f"{file['name']}: SHA-256 {digest}, the list says {file['sha256']}; not written", file=sys.stderr)
                num_wrong += 1
                continue
            (FOLDER / file["name"]).write_bytes(raw)
            print(f"{file['name']}: {len(raw)} bytes, SHA-256 {digest}")
    LIST.write_text(text, "utf-8")
    return int(num_wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
