#!/usr/bin/env python3
"""The package's copyright file: the project's licence, and the licence texts of every crate that is part of the binary.

Usage: copyright.py TARGET < `cargo metadata --format-version 1 --locked`
"""

import json
import pathlib
import re
import sys

COMMON = "/usr/share/common-licenses"
# Where a file has it among other licences.
APACHE = re.compile(r"(?ms)^[ \t]*Apache License\s+Version 2\.0, January 2004.*?END OF TERMS AND CONDITIONS[^\n]*")
NAMES = ("LICENSE", "LICENCE", "COPYING", "COPYRIGHT", "NOTICE", "UNLICENSE")


def linked(metadata, root):
    """Packages that the binary of `root` is made of, without build and test dependencies."""
    nodes = {node["id"]: node for node in metadata["resolve"]["nodes"]}
    found, waiting = set(), [next(p["id"] for p in metadata["packages"] if p["name"] == root)]
    while waiting:
        one = waiting.pop()
        if one in found:
            continue
        found.add(one)
        for dependency in nodes[one]["deps"]:
            if any(kind["kind"] is None for kind in dependency["dep_kinds"]):
                waiting.append(dependency["pkg"])
    return found


def texts(package):
    """The licence files that come with a crate, without the Apache licence, which every Debian system has."""
    folder = pathlib.Path(package["manifest_path"]).parent
    for path in sorted(folder.iterdir()):
        if path.is_file() and path.name.upper().startswith(NAMES):
            text = path.read_text(encoding="utf-8", errors="replace").strip()
            if "Apache License" not in text[:400]:
                text = APACHE.sub("(The Apache License 2.0 stands here.)", text)
            if "Apache License" not in text[:400] and text:
                yield text


def indented(text):
    return "\n".join(" " + (line.strip() and line.rstrip() or ".") for line in text.splitlines())


def main():
    metadata = json.load(sys.stdin)
    wanted = linked(metadata, "rsmev")
    crates = sorted(
        (p for p in metadata["packages"] if p["id"] in wanted and p["source"]), key=lambda p: (p["name"], p["version"])
    )
    print("Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/")
    print("Upstream-Name: rsmev-gateway\n")
    print("Files: *\nCopyright: rsmev-gateway developers\nLicense: Apache-2.0\n")
    same = {}
    for crate in crates:
        key = (crate["license"] or "see text", "\n\n".join(texts(crate)))
        same.setdefault(key, []).append(crate)
    for number, ((licence, text), group) in enumerate(same.items(), 1):
        authors = sorted({author for crate in group for author in crate["authors"]}) or ["the authors of the crates named"]
        print("Files: " + "\n ".join(f"crates/{crate['name']}-{crate['version']}/*" for crate in group))
        print("Copyright: " + "\n ".join(authors))
        print(f"License: crates-{number}\n This software is used under {licence}.")
        print(" The Apache License 2.0, where it applies, is in " + COMMON + "/Apache-2.0.")
        if text:
            print(" .\n" + indented(text))
        print()
    print("License: Apache-2.0\n On Debian systems the text of the Apache License 2.0 is in\n " + COMMON + "/Apache-2.0.")


main()
