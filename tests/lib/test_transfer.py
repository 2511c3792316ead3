"""Few labels are drawn fairly; a start from another model takes all but its head."""

import pytest
import torch

from lib.datasets import load
from lib.exercises import engine
from lib.transfer import BodyAndHead, FewLabels, few_labels, start_from


def test_few_labels_gives_so_many_of_each_class_and_grows_by_adding():
    y = torch.tensor([0, 1, 2] * 10)
    small, large = few_labels(y, 2, seed=3), few_labels(y, 5, seed=3)
    assert y[small].bincount().tolist() == [2, 2, 2]
    assert set(small.tolist()) < set(large.tolist())
    assert len(set(large.tolist())) == 15
    assert not torch.equal(small, few_labels(y, 2, seed=4))
    for number in (0, 11):
        with pytest.raises(ValueError, match="the class 0 has 10 examples"):
            few_labels(y, number, seed=0)


def test_few_labels_set_splits_into_few_and_a_rest_without_overlap():
    full = load("digits", flat=False)
    data = FewLabels(**vars(full), per_class=3)
    train, check, test = data.split(seed=0)
    assert train.y.bincount().tolist() == [3] * 10
    assert len(check) == pytest.approx(0.4 * len(full), abs=10)
    pictures = [
        {tuple(x.flatten().tolist()) for x in p.x} for p in (train, check, test)
    ]
    assert not pictures[0] & (pictures[1] | pictures[2])


def test_start_from_copies_all_but_the_head_and_shares_nothing():
    source, model = BodyAndHead(5, seed=0), BodyAndHead(3, seed=1)
    head = model.head.weight.clone()
    assert start_from(model, source) is model
    assert torch.equal(model.head.weight, head)
    for own, given in zip(
        model.body.parameters(), source.body.parameters(), strict=True
    ):
        assert torch.equal(own, given)
        assert own.data_ptr() != given.data_ptr()
    assert model(torch.zeros(2, 1, 8, 8)).shape == (2, 3)


def test_start_from_refuses_models_that_do_not_agree():
    with pytest.raises(ValueError, match="do not agree"):
        start_from(BodyAndHead(5), BodyAndHead(3), but="body")
    with pytest.raises(ValueError, match="do not agree"):
        start_from(BodyAndHead(5), BodyAndHead(5), but="tail")


def test_exercise_answers_by_hand():
    change = engine.find("transfer change").reference
    assert change(torch.tensor([3.0, 4.0]), torch.tensor([3.0, 5.0])) == 0.2
    assert engine.find("transfer rank").reference(384, 384) == 191
    model = engine.find("transfer freeze").reference(BodyAndHead(2), "head")
    learns = [name for name, p in model.named_parameters() if p.requires_grad]
    assert learns == ["head.weight", "head.bias"]
