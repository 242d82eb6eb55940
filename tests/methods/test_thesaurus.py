"""WordNet is read as its manual describes the files: sets by offset, base forms by ending."""

from __future__ import annotations

from pathlib import Path

import pytest

from msp.errors import ConfigError
from msp.methods.thesaurus import WordNet, database_hash

SETS = {
    "noun": [["room", "chamber"], ["room", "elbow_room", "way"], ["child", "kid"]],
    "verb": [["board", "room"], ["move", "go"]],
    "adj": [["ready(p)", "Prepared"]],
    "adv": [],
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A WordNet of a few sets, in its own form."""
    for part, sets in SETS.items():
        data, offsets = "  1 licence text\n", {}
        for words in sets:
            for word in words:
                lemma = word.partition("(")[0].lower()
                offsets.setdefault(lemma, []).append(len(data))
            members = " ".join(f"{word} 0" for word in words)
            data += f"{len(data):08d} 04 {part[0]} {len(words):02x} {members} 000 | a gloss\n"
        index = "  1 licence text\n"
        for lemma, found in sorted(offsets.items()):
            places = " ".join(f"{offset:08d}" for offset in found)
            index += f"{lemma} {part[0]} {len(found)} 2 @ ~ {len(found)} 1 {places}  \n"
        (tmp_path / f"data.{part}").write_text(data)
        (tmp_path / f"index.{part}").write_text(index)
    (tmp_path / "noun.exc").write_text("children child\n")
    return tmp_path


def test_synonyms_are_the_members_of_every_set_of_every_part_of_speech(folder: Path) -> None:
    assert WordNet(folder).synonyms("room") == ("chamber", "elbow room", "way", "board")


@pytest.mark.parametrize(
    ("form", "synonyms"),
    [
        ("moved", ("move", "go")),
        ("children", ("child", "kid")),
        ("kids", ("child", "kid")),
        ("oom", ()),
    ],
)
def test_forms_are_led_back_to_their_base(folder: Path, form: str, synonyms: object) -> None:
    assert WordNet(folder).synonyms(form) == synonyms


def test_an_adjectives_place_is_no_part_of_it(folder: Path) -> None:
    assert WordNet(folder).synonyms("prepared") == ("ready",)


def test_another_database_is_another_content_and_a_missing_file_is_named(folder: Path) -> None:
    before = database_hash(str(folder))
    with (folder / "data.adj").open("a") as file:
        file.write("x\n")
    assert database_hash(str(folder)) != before
    (folder / "index.adv").unlink()
    with pytest.raises(ConfigError, match=r"index\.adv cannot be read"):
        WordNet(folder)
