"""A model that can be told where to repair, and one that is told nothing."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from onnx import TensorProto, helper
from onnx_graphs import constant, model_of, value

from wetgate.errors import WetgateError
from wetgate.inference.session import Session
from wetgate.inference.tiles import Restorer
from wetgate.onnx_model import ModelCard, open_model

CARD = ModelCard(recipe="damage", halo=0, multiple=1, record={})


def negates(*, card: ModelCard | None = CARD, damage_channels: int = 1):
    """Turns bright pixels negative: those brighter than 0.5 by itself, else those that it is told."""
    nodes = [
        helper.make_node("Less", ["damage", "zero"], ["free"]),
        helper.make_node("Slice", ["frames", "zero_i", "one_i", "one_i"], ["red"]),
        helper.make_node("Where", ["free", "red", "damage"], ["level"]),
        helper.make_node("Greater", ["level", "half"], ["mask"]),
        helper.make_node("Neg", ["frames"], ["negative"]),
        helper.make_node("Where", ["mask", "negative", "frames"], ["restored"]),
    ]
    values = [
        constant("damage", np.full((1, 1, 1, 1), -1, np.float32)),
        constant("zero", np.zeros((), np.float32)),
        constant("half", np.float32(0.5)),
        constant("zero_i", np.zeros(1, np.int64)),
        constant("one_i", np.ones(1, np.int64)),
    ]
    told = helper.make_tensor_value_info("damage", TensorProto.FLOAT, [None, damage_channels, None, None])
    return model_of(nodes, values, inputs=[value("frames", 3), told], card=card)


@pytest.fixture
def frames():
    return np.random.default_rng(3).random((1, 3, 20, 30), np.float32)


def test_a_model_that_takes_damage_finds_it_by_itself_when_told_nothing(save_model, frames):
    session = Session(save_model(negates()), "cpu")
    assert session.takes_damage
    restored, _ = session.run(frames)
    assert np.array_equal(restored, np.where(frames[:, :1] > 0.5, -frames, frames))
    into = np.empty_like(frames[0])
    session.run_into(frames[0], into, None)
    assert np.array_equal(into, restored[0])


def test_told_where_it_repairs_there_and_nowhere_else(save_model, frames):
    session = Session(save_model(negates()), "cpu")
    damage = np.zeros((1, 1, 20, 30), np.float32)
    damage[..., 5:9, 10:14] = 1
    restored, _ = session.run(frames, damage=damage)
    assert np.array_equal(restored, np.where(damage > 0.5, -frames, frames))
    none, _ = session.run(frames, damage=np.zeros_like(damage))
    assert np.array_equal(none, frames)


def test_tiles_take_their_part_of_the_damage(save_model, frames):
    session = Session(save_model(negates()), "cpu")
    damage = (np.random.default_rng(4).random((20, 30)) > 0.6).astype(np.float32)
    window = [np.ascontiguousarray(frames[0].transpose(1, 2, 0))]
    restored, _, effort = Restorer(session, tile=8).restore(window, damage=damage)
    assert effort.tiles > 1
    assert np.array_equal(restored, np.where(damage[..., None] > 0.5, -window[0], window[0]))


def test_a_model_without_that_input_is_not_told(save_model, frames):
    identity = model_of([helper.make_node("Identity", ["frames"], ["restored"])], card=CARD)
    session = Session(save_model(identity), "cpu")
    assert not session.takes_damage
    with pytest.raises(ValueError, match="takes one"):
        session.run(frames, damage=np.zeros((1, 1, 20, 30), np.float32))


def test_a_damage_input_of_another_shape_is_refused(save_model, frames):
    with pytest.raises(WetgateError, match="'damage' has shape"):
        open_model(save_model(negates(damage_channels=3)))
    session = Session(save_model(negates()), "cpu")
    with pytest.raises(ValueError, match="damage mask"):
        session.run(frames, damage=np.zeros((1, 1, 20, 31), np.float32))


def test_what_damage_means_in_somebody_elses_model_is_not_known(save_model):
    assert not open_model(save_model(negates(card=None))).takes_damage
    assert open_model(save_model(negates(card=dataclasses.replace(CARD, recipe="color")))).takes_damage
