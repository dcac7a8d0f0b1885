import importlib.util
import json
import sys
from pathlib import Path

import pytest

from cospair import data

SCRIPT = Path(__file__).parents[2] / "scripts" / "prepare_emoji.py"


@pytest.fixture(scope="module")
def script():
    pytest.importorskip("PIL")
    spec = importlib.util.spec_from_file_location("prepare_emoji", SCRIPT)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules["prepare_emoji"] = module  # where dataclasses look for it
    spec.loader.exec_module(module)
    yield module
    del sys.modules["prepare_emoji"]


RED, PALE = "<path fill='red' d='M0 0h8v16H0z'/>", "<path fill='#fefefe' d='M0 0h8v16H0z'/>"

# name: characters, as chars.json has it the other way round
NAMES = {
    "bear": "1f43b",
    "red-heart": "2764-fe0f",
    "farmer": "1f9d1-200d-1f33e",
    "man-farmer": "1f468-200d-1f33e",
    "bear-dark": "1f43b-1f3ff",
    "own-sign": "e001",
}


@pytest.fixture
def source(tmp_path, script):
    """Packages in which six vendors agree; fxemoji goes by Unicode's names, without hyphens."""
    for vendor in script.VERSIONS:
        package = tmp_path / "source" / vendor
        package.mkdir(parents=True)
        icons = {name: {"body": RED} for name in NAMES}
        if vendor == "fxemoji":
            icons = {name: {"body": RED} for name in ("bearface", "heavyblackheart", "folder")}
        (package / "icons.json").write_text(json.dumps({"icons": icons, "aliases": {}}))
        if vendor in ("noto", "openmoji", "twemoji", "fluent-emoji-flat"):
            (package / "chars.json").write_text(json.dumps({c: n for n, c in NAMES.items()}))
    return tmp_path / "source"


def test_identities_are_emoji_and_no_variants(script, source):
    found = script.chosen({name: script.unpacked(source, name) for name in script.VERSIONS})
    assert {name: len(icons) for name, icons in found.items()} == {
        "bear": 7,
        "farmer": 6,
        "red-heart": 7,
    }
    assert found["bear"]["fxemoji"] == "bearface"


@pytest.mark.parametrize(
    ("characters", "alone"),
    [
        ("1f43b", True),
        ("31-20e3", True),
        ("1f9d1-200d-1f33e", True),  # farmer
        ("1f43b-200d-2744", True),  # polar bear
        ("1f469-200d-1f33e", False),  # woman farmer
        ("1f3c3-200d-2640", False),  # woman running
        ("1f3c3-200d-27a1", False),  # person running to the right
        ("1f44b-1f3fd", False),  # a hand of one skin tone
        ("1f3fd", False),
        ("1f9d1-200d-1f9b0", False),  # red hair
        ("1f9d1-200d-1f9d1-200d-1f9d2", False),  # family
    ],
)
def test_variants(script, characters, alone):
    assert script.stands_alone(characters) is alone


def test_a_name_goes_to_what_most_say(script):
    said = [{"bear": "1f43b"}, {"bear": "1f43b"}, {"bear": "1f9f8"}]
    vendors = {str(n): script.Vendor({"icons": {}}, names) for n, names in enumerate(said)}
    silent = script.Vendor({"icons": {"ours": {}}, "aliases": {"be-ar": {"parent": "ours"}}}, {})
    assert script.looked_up(script.votes(vendors), silent, "ours") == "1f43b"
    del vendors["0"]
    assert script.looked_up(script.votes(vendors), silent, "ours") is None


def test_an_alias_that_mirrors_names_no_drawing(script):
    aliases = {"right": {"parent": "left", "hFlip": True}, "sinister": {"parent": "left"}}
    vendor = script.Vendor({"icons": {"left": {}}, "aliases": aliases}, {})
    assert vendor.aliases() == {"sinister": "left"}


def test_the_folder_it_makes(script, source, tmp_path, monkeypatch, capsys):
    pytest.importorskip("resvg_py")
    out = tmp_path / "new" / "emoji"
    arguments = ["prepare_emoji.py", str(out), "--size", "16", "--source", str(source)]
    monkeypatch.setattr(sys, "argv", arguments)
    assert script.main() == 0
    assert "3 identities, 20 pictures" in capsys.readouterr().out
    assert [entry.name for entry in out.parent.iterdir()] == ["emoji"]
    found = data.image_folder(out)
    assert found.identities == ("bear", "farmer", "red-heart")
    assert found.skipped == ()
    picture = found.picture(0)
    assert (picture.mode, picture.size) == ("RGB", (16, 16))
    assert (picture.getpixel((2, 2)), picture.getpixel((14, 2))) == ((255, 0, 0), (255, 255, 255))


def test_pictures_that_show_nothing_are_dropped(script, source):
    pytest.importorskip("resvg_py")
    vendors = {name: script.unpacked(source, name) for name in script.VERSIONS}
    for name in ("noto", "twemoji", "fxemoji", "emojione"):
        vendors[name].icons["icons"] |= {icon: {"body": PALE} for icon in ("bear", "bearface")}
    views = script.drawn(script.chosen(vendors), vendors, 16)
    assert sorted(views) == ["farmer", "red-heart"]


def run(script, monkeypatch, capsys, *arguments):
    monkeypatch.setattr(sys, "argv", ["prepare_emoji.py", *map(str, arguments)])
    code = script.main()
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.count("\n") == 1
    return code, printed.err


def test_wrong_input_is_one_sentence(script, source, tmp_path, monkeypatch, capsys):
    out = tmp_path / "emoji"
    code, said = run(script, monkeypatch, capsys, source)
    assert (code, "OUT must not exist yet" in said) == (2, True)
    code, said = run(script, monkeypatch, capsys, out, "--size", 8)
    assert (code, "--size must be at least 16" in said) == (2, True)
    code, said = run(script, monkeypatch, capsys, out, "--source", tmp_path)
    assert (code, "must hold icons.json" in said) == (2, True)
    without = [word for name in script.VERSIONS if name < "n" for word in ("--without", name)]
    code, said = run(script, monkeypatch, capsys, out, "--source", source, *without)
    assert (code, "3 vendors share 0" in said) == (2, True)
    (source / "noto" / "icons.json").write_text("{")
    code, said = run(script, monkeypatch, capsys, out, "--source", source)
    assert (code, "must be JSON" in said) == (2, True)
    monkeypatch.setenv("PATH", str(tmp_path))
    code, said = run(script, monkeypatch, capsys, out)
    assert (code, "npm, which is not on PATH" in said) == (2, True)
    assert not out.exists()


def test_without_the_drawing_package_it_says_what_to_install(
    script, source, tmp_path, monkeypatch, capsys
):
    monkeypatch.setitem(sys.modules, "resvg_py", None)
    code, said = run(script, monkeypatch, capsys, tmp_path / "emoji", "--source", source)
    assert (code, "pip install resvg-py" in said) == (2, True)


def test_a_package_comes_through_npm(script, tmp_path, monkeypatch):
    """A stand-in for npm packs what the registry would."""
    npm = tmp_path / "npm"
    npm.write_text(
        f"#!{sys.executable}\n"
        "import io, sys, tarfile\n"
        "assert sys.argv[1:4] == ['pack', '--silent', '@iconify-json/noto@1.2.9']\n"
        "with tarfile.open(sys.argv[5] + '/noto.tgz', 'w:gz') as archive:\n"
        '    for name, text in (("icons", b\'{"icons": {"bear": {}}}\'),'
        ' ("chars", b\'{"1f43b": "bear"}\')):\n'
        "        entry = tarfile.TarInfo(f'package/{name}.json')\n"
        "        entry.size = len(text)\n"
        "        archive.addfile(entry, io.BytesIO(text))\n"
    )
    npm.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert script.downloaded("noto").characters == {"bear": "1f43b"}
    npm.write_text(f"#!{sys.executable}\nimport sys\nsys.exit('no such registry')\n")
    with pytest.raises(RuntimeError, match=r"npm could not fetch .*no such registry"):
        script.downloaded("noto")
