"""Versions of a picture and training with them, as computed and as the page gets it."""

from __future__ import annotations

import asyncio
import io
import json

import numpy as np
import pytest
import torch
from PIL import Image

from lib import augmentation_lab as lab
from lib.augment import cutout, random_affine
from lib.augmentation_lab import Comparison, Settings
from lib.models.cnn import CNN
from lib.widgets import Augmentation
from tests.widgets.conftest import FakePage, values_over_range
from tests.widgets.test_base import until

NAMES = [c.name for c in Augmentation.CONTROLS]
NOTHING = Settings(0, 0, 0, 0, 0, 0)


class Half(torch.nn.Module):
    """Reads a 1 where the upper half has more ink, else a 7."""

    def forward(self, x):
        out = torch.zeros(len(x), 10)
        rows = x.sum((1, 3))
        upper = rows[:, :8].sum(1) > rows[:, 8:].sum(1)
        out[:, 1], out[:, 7] = 5.0 * upper, 5.0 * ~upper
        return out


def control(name: str):
    return next(c for c in Augmentation.CONTROLS if c.name == name)


# ---- the lab


def test_without_strength_every_version_is_the_picture():
    picture = lab.typical_digits()["6"]
    versions = lab.versions(picture, NOTHING, 3, 5)
    assert versions.shape == (6, 1, 16, 16)
    assert (versions == picture).all()
    assert str(NOTHING) == "nothing"
    assert str(Settings()) == "degrees 15, shift 8, scale 10"


def test_versions_are_those_of_lib_augment():
    picture = lab.typical_digits()["4"]
    settings = Settings(degrees=90, shift=25, scale=20, erase=50)
    generator = torch.Generator().manual_seed(7)
    wanted = random_affine(picture.expand(4, 1, 16, 16), generator, 90, 4.0, 0.2)
    wanted = cutout(wanted, generator, 8)
    torch.testing.assert_close(lab.versions(picture, settings, 7, 4)[1:], wanted)


def test_each_strength_changes_the_picture():
    picture = lab.typical_digits()["4"]
    for name in ("degrees", "shift", "scale", "flip", "noise", "erase"):
        one = Settings(**{**dict.fromkeys(Settings.__annotations__, 0), name: 40})
        versions = lab.versions(picture, one, 0, 20)
        assert not (versions == picture).all(), name
    flipped = lab.versions(picture, Settings(0, 0, 0, 100), 0, 3)
    assert torch.equal(flipped[1], picture.flip(-1))


def test_pictures_are_real():
    digits = lab.typical_digits()
    assert list(digits) == list("0123456789")
    for picture in lab.photographs().values():
        assert picture.shape == (3, 40, 40)
        assert picture.std() > 0.1


def test_both_networks_start_equal_and_without_augmentation_stay_equal():
    race = Comparison(NOTHING, examples=40, steps=6, every=3)
    for _ in race.work():
        pass
    assert [row[0] for row in race.rows] == [0, 3, 6]
    for row in race.rows:
        assert row[1] == row[2]
        assert row[3] == row[4]
    other = Comparison(Settings(), examples=40, steps=6, every=3)
    assert other.rows[0] == race.rows[0]
    for _ in other.work():
        pass
    without = [c.models["without"].conv.weight for c in (other, race)]
    assert torch.equal(*without)
    assert not torch.equal(
        other.models["with"].conv.weight, other.models["without"].conv.weight
    )


def test_it_is_measured_on_digits_that_were_not_learnt_from():
    race = Comparison(NOTHING, examples=400, steps=1)
    few, kept = (part.x.flatten(1) for part in (race._few, race._kept_back))
    assert (len(few), len(kept)) == (400, 700)
    assert (torch.cdist(few, kept).amin(0) > 0).all()
    model = race.models["with"]
    right = (model(race._kept_back.x).argmax(1) == race._kept_back.y).float().mean()
    assert race.rows[0][1] == pytest.approx(right.item())


def test_turning_all_the_way_harms_what_turning_a_little_helps():
    last = {}
    for degrees in (10, 180):
        race = Comparison(Settings(degrees=degrees), examples=100, steps=150, every=150)
        for _ in race.work():
            pass
        last[degrees] = race.rows[-1][1]
    assert last[10] > last[180] + 0.2


# ---- controls


@pytest.mark.parametrize("name", NAMES)
def test_a_page_can_move_every_control_over_its_whole_range(open_page, name):
    widget = Augmentation(Half())
    page = open_page(widget)
    for value in values_over_range(control(name)):
        page.set(name, value)
        assert page.of_kind("value")[-1]["value"] == widget.values[name] == value
        assert widget.versions.isfinite().all()
    json.dumps(page.messages, allow_nan=False)


# ---- versions and what is read in them


def newest(page: FakePage, part: str) -> bytes:
    pairs = zip(reversed(page.messages), reversed(page.buffers), strict=True)
    for message, buffers in pairs:
        if part in message.get("parts", []):
            return buffers[message["parts"].index(part)]
    raise AssertionError(f"no message had a part {part!r}")


@pytest.mark.parametrize(("picture", "shape"), [("4", (16, 1)), ("china", (40, 3))])
def test_the_page_gets_the_versions_as_bytes(open_page, picture, shape):
    widget = Augmentation(noise=20)
    page = open_page(widget)
    page.set("picture", picture)
    n, deep = shape
    pixels = np.frombuffer(newest(page, "versions"), "u1").reshape(16, n, n, deep)
    wanted = 255 * widget.versions.clamp(0, 1).permute(0, 2, 3, 1).numpy()
    assert np.abs(pixels - wanted).max() <= 0.5001
    original = 255 * widget.pictures[picture].permute(1, 2, 0).numpy()
    assert np.abs(pixels[0] - original).max() <= 0.5001


def test_a_seed_draws_the_same_versions_again(open_page):
    widget = Augmentation()
    page = open_page(widget)
    seen = {}
    for seed in (1, 2, 1):
        page.set("seed", seed)
        seen.setdefault(seed, newest(page, "versions"))
        assert newest(page, "versions") == seen[seed]
    assert seen[1] != seen[2]


def test_what_changes_the_meaning_is_found(open_page):
    widget = Augmentation(Half(), picture="1", degrees=0, shift=0, scale=0)
    widget.pictures["1"] = torch.zeros(1, 16, 16)
    widget.pictures["1"][0, :4] = 1.0
    widget.set(degrees=180)
    page = open_page(widget)
    shares = np.frombuffer(widget.snapshot["shares"], "<f4").reshape(16, 10)
    read = Half()(widget.versions).softmax(1)
    np.testing.assert_allclose(shares, read, rtol=1e-6)
    others = [k for k in range(1, 16) if read[k].argmax() == 7]
    assert widget.changed_meaning == others
    assert 2 < len(others) < 14
    page.set("degrees", 0)
    assert widget.changed_meaning == []


def test_without_a_model_and_for_photographs_nothing_is_read(open_page):
    assert Augmentation().shares is None
    widget = Augmentation(Half())
    page = open_page(widget)
    page.set("picture", "flower")
    assert widget.shares is None
    assert newest(page, "shares") == b""
    page.set("picture", "3")
    assert len(newest(page, "shares")) == 16 * 10 * 4


@pytest.mark.parametrize(
    "model", [torch.nn.Linear(64, 10), CNN(16, classes=4), "no model"]
)
def test_a_model_of_other_shapes_is_refused(model):
    with pytest.raises(ValueError, match=r"model .* takes \(B, 1, 16, 16\) pictures"):
        Augmentation(model)


def test_a_model_may_be_made_for_another_size():
    widget = Augmentation(CNN(8, channels=2))
    assert widget.versions.shape == (16, 1, 8, 8)
    assert widget.shares.shape == (16, 10)


def test_the_model_is_found_in_the_mode_in_which_it_was():
    model = torch.nn.Sequential(CNN(16, channels=2), torch.nn.Dropout(0.9)).train()
    first, second = Augmentation(model), Augmentation(model)
    assert model.training
    assert torch.equal(first.shares, second.shares)  # without dropout


# ---- training


def test_step_reset_and_the_settings_that_are_trained_with(open_page):
    widget = Augmentation(examples=20)
    page = open_page(widget)
    page.do("step")
    widget.finish()
    assert widget.comparison.step == 10
    news = page.of_kind("news")[-1]
    assert (news["step"], news["rows"], news["playing"]) == (10, 2, False)
    page.set("degrees", 90)
    news = page.of_kind("news")[-1]
    assert news["trained"] == ["degrees 15, shift 8, scale 10", 20]
    assert news["current"] == "degrees 90, shift 8, scale 10"
    page.do("reset")
    assert page.of_kind("news")[-1]["rows"] == 0
    page.do("step")
    widget.finish()
    assert widget.comparison.settings.degrees == 90


def test_rows_are_sent_once_and_a_late_page_gets_all(open_page):
    widget = Augmentation(examples=20)
    page = open_page(widget)
    for _ in range(3):
        page.do("step")
        widget.finish()
    sent = [np.frombuffer(newest(page, "rows"), "<f4").reshape(-1, 5)]
    news = page.of_kind("news")[-1]
    assert news["from"] + len(sent[0]) == news["rows"] == 4
    assert len(sent[0]) < 4
    open_page(widget)
    rows = np.frombuffer(widget.snapshot["rows"], "<f4").reshape(-1, 5)
    np.testing.assert_allclose(rows, widget.comparison.rows, rtol=1e-6)
    count = len(page.messages)
    widget.pump(now=True)
    assert len(page.messages) == count


def test_messages_of_training_are_small(open_page):
    widget = Augmentation(examples=20)
    page = open_page(widget)
    page.do("step")
    widget.finish()
    assert page.of_kind("news")[-1]["parts"] == ["rows"]
    assert len(json.dumps(page.of_kind("news")[-1])) < 2_000


def test_play_and_pause_under_a_loop():
    async def play():
        widget = Augmentation(examples=20)
        page = FakePage(widget).hello()
        page.do("play")
        await until(lambda: widget.comparison and widget.comparison.step > 5)
        page.do("pause")
        await asyncio.sleep(0.05)
        step = widget.comparison.step
        await asyncio.sleep(0.1)
        assert widget.comparison.step == step < 400
        assert not widget.working
        widget.close()

    asyncio.run(play())


def test_run_without_a_page():
    race = Augmentation(examples=20).run(steps=20)
    assert [row[0] for row in race.rows] == [0, 10, 20]


# ---- errors, pictures, end


def test_an_error_is_shown_in_the_page_under_a_loop(monkeypatch):
    def broken(self):
        raise RuntimeError("the step broke")

    monkeypatch.setattr(Comparison, "advance", broken)

    async def play():
        widget = Augmentation(examples=20)
        page = FakePage(widget).hello()
        page.do("play")
        await until(lambda: page.of_kind("error"))
        assert page.of_kind("error")[-1]["text"] == "RuntimeError: the step broke"
        assert widget._playing is False
        widget.close()

    asyncio.run(play())


def test_text_and_ink_after_training():
    widget = Augmentation(Half(), degrees=90)
    widget.run(steps=10)
    text = "Augmentation: 15 versions of a picture, and training with them"
    assert widget.describe() == text
    pixels = np.asarray(Image.open(io.BytesIO(widget.still())).convert("L"))
    assert (pixels < 128).mean() > 0.05


def test_the_picture_shows_versions_readings_and_curves():
    widget = Augmentation(Half())
    widget.run(steps=20)
    left, right = widget.figure().axes
    assert len(left.images) == 16
    np.testing.assert_allclose(
        left.images[3].get_array(), widget.versions[3, 0].clamp(0, 1)
    )
    assert left.texts[0].get_text() == f"7: {widget.shares[0, 7]:.2f}"
    rows = np.array(widget.comparison.rows)
    for line, column in zip(right.lines, (1, 2), strict=True):
        np.testing.assert_allclose(line.get_ydata(), 100 * rows[:, column])
