"""The model contract: what a card says, and which files are refused before anything runs."""

from __future__ import annotations

import contextlib
import dataclasses
import json

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from onnx_graphs import constant, encoder_decoder, model_of, value

from wetgate import onnx_model
from wetgate.errors import WetgateError
from wetgate.images import ENCODINGS
from wetgate.inference.session import Session
from wetgate.onnx_file import MalformedFile, describe
from wetgate.onnx_model import CONTRACT_VERSION, ModelCard, local_paths_in, open_model, read_card

CARD = ModelCard(
    recipe="color",
    radius=1,
    halo=24,
    multiple=4,
    encoding="log",
    colour_space="Cineon printing density",
    protected="grain",
    record={"sources": [{"element": "35 mm – Bobine 3 «négatif»"}], "seed": 7, "loss": 0.1},
    producer="wetgate 0.1.0",
)


def identity(card: ModelCard | None = None, **parts) -> onnx.ModelProto:
    return model_of([helper.make_node("Identity", ["frames"], ["restored"])], card=card, **parts)


def with_metadata(**changes: str | None) -> onnx.ModelProto:
    metadata = ModelCard(recipe="color", record={"seed": 1}).to_metadata()
    for key, text in changes.items():
        metadata[f"wetgate.{key}"] = text
    model = identity()
    helper.set_model_props(model, {key: text for key, text in metadata.items() if text is not None})
    return model


def test_a_card_survives_the_file(save_model):
    frames = [value("frames", 9)]
    node = helper.make_node("Conv", ["frames", "w"], ["restored"])
    weights = constant("w", np.ones((3, 9, 1, 1), np.float32))
    assert read_card(save_model(model_of([node], [weights], inputs=frames, card=CARD))) == CARD


def test_a_card_for_whole_frames_only_survives_too():
    card = dataclasses.replace(CARD, halo=None)
    assert ModelCard.from_metadata(card.to_metadata()) == card


@pytest.mark.parametrize("key", ["recipe", "encoding", "colour_space", "protected", "producer"])
@pytest.mark.parametrize("text", ["a\0b", 'color"\nLUT_3D_SIZE 2', "x" * 401, "\x1b[2J"])
def test_a_card_holds_lines_of_text(save_model, key, text):
    """They are printed, written into a .cube and an EXR, and sent to hosts."""
    with pytest.raises(WetgateError, match=f"something else than a short line of text for 'wetgate.{key}'"):
        read_card(save_model(with_metadata(**{key: text})))


def test_a_foreign_producer_that_is_no_line_is_nobody(save_model):
    model = identity()
    model.producer_name = "x" * 70_000
    assert read_card(save_model(model)).producer == ""


def test_a_radius_beyond_any_film_is_refused(save_model):
    with pytest.raises(WetgateError, match="radius 1001"):
        read_card(save_model(with_metadata(radius="1001")))


def test_the_contract_and_the_images_name_the_same_encodings():
    assert onnx_model.ENCODINGS == ENCODINGS


def test_the_description_agrees_with_the_onnx_package():
    model = encoder_decoder()
    found = describe(model.SerializeToString())
    assert found.node_count == len(model.graph.node)
    assert found.metadata == {item.key: item.value for item in model.metadata_props}
    assert [tensor.name for tensor in found.inputs] == ["frames"]
    assert found.inputs[0].shape == (None, 3, None, None)
    assert found.inputs[0].element_type == TensorProto.FLOAT
    assert not found.external_files and not found.foreign_operators


@pytest.mark.parametrize("content", [b"", b"\x00", b"junk", b"%PDF-1.7 not a model at all", bytes(range(256)) * 40])
def test_junk_is_refused(save_model, content):
    path = save_model(content, "junk.onnx")
    with pytest.raises(WetgateError, match=r"junk\.onnx"):
        open_model(path)


def test_random_bytes_never_do_more_than_fail():
    generator = np.random.default_rng(3)
    whole = encoder_decoder().SerializeToString()
    for _ in range(300):
        data = bytearray(whole)
        for position in generator.integers(0, len(data), 8):
            data[position] = generator.integers(0, 256)
        with contextlib.suppress(MalformedFile):
            describe(bytes(data))


def test_every_truncation_is_refused(save_model):
    whole = encoder_decoder(width=2).SerializeToString()
    for size in [*range(1, 200), *range(200, len(whole), 97), len(whole) - 1]:
        with pytest.raises(WetgateError):
            open_model(save_model(whole[:size], "short.onnx"))


def test_a_missing_file_and_a_folder(tmp_path):
    with pytest.raises(WetgateError, match="does not exist"):
        open_model(tmp_path / "none.onnx")
    with pytest.raises(WetgateError, match="is a folder"):
        open_model(tmp_path)


def external(tensor: TensorProto, location: str) -> TensorProto:
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, text in (("location", location), ("offset", "0"), ("length", "12")):
        tensor.external_data.add(key=key, value=text)
    return tensor


def reading_initializer(location: str) -> onnx.ModelProto:
    weights = external(constant("w", np.ones((1, 3, 1, 1), np.float32)), location)
    return model_of([helper.make_node("Add", ["frames", "w"], ["restored"])], [weights], card=ModelCard(recipe="color"))


def reading_attribute(location: str) -> onnx.ModelProto:
    weights = external(constant("w", np.ones((1, 3, 1, 1), np.float32)), location)
    nodes = [
        helper.make_node("Constant", [], ["w"], value=weights),
        helper.make_node("Add", ["frames", "w"], ["restored"]),
    ]
    return model_of(nodes)


def reading_branch(location: str) -> onnx.ModelProto:
    weights = external(constant("w", np.ones((1, 3, 1, 1), np.float32)), location)
    branch = helper.make_graph(
        [helper.make_node("Add", ["frames", "w"], ["out"])], "branch", [], [value("out", 3)], [weights]
    )
    condition = constant("yes", np.array(True))
    return model_of(
        [helper.make_node("If", ["yes"], ["restored"], then_branch=branch, else_branch=branch)], [condition]
    )


def reading_function(location: str) -> onnx.ModelProto:
    weights = external(constant("w", np.ones((1, 3, 1, 1), np.float32)), location)
    body = [helper.make_node("Constant", [], ["w"], value=weights), helper.make_node("Add", ["x", "w"], ["y"])]
    opsets = [helper.make_opsetid("", 20)]
    model = model_of([helper.make_node("Shift", ["frames"], ["restored"], domain="here")], domains=["here"])
    model.functions.append(helper.make_function("here", "Shift", ["x"], ["y"], body, opsets))
    return model


@pytest.mark.parametrize("build", [reading_initializer, reading_attribute, reading_branch, reading_function])
@pytest.mark.parametrize("location", ["secret.bin", "../secret.bin", "/etc/hostname"])
def test_weights_in_another_file_are_refused(save_model, tmp_path, monkeypatch, build, location):
    (tmp_path / "secret.bin").write_bytes(np.arange(3, dtype=np.float32).tobytes())
    monkeypatch.chdir(tmp_path)
    path = save_model(build(location), "hostile.onnx")
    with pytest.raises(WetgateError, match=r"hostile\.onnx keeps its weights in another file"):
        Session(path, "cpu")


def test_operators_that_need_foreign_code_are_refused(save_model):
    node = helper.make_node("Steal", ["frames"], ["restored"], domain="com.evil")
    path = save_model(model_of([node], domains=["com.evil"]))
    with pytest.raises(WetgateError, match=r"com\.evil\.Steal"):
        open_model(path)


def test_operators_that_the_file_defines_itself_run(save_model):
    body = [helper.make_node("Neg", ["x"], ["y"])]
    model = model_of([helper.make_node("Turn", ["frames"], ["restored"], domain="here")], domains=["here"])
    model.functions.append(helper.make_function("here", "Turn", ["x"], ["y"], body, [helper.make_opsetid("", 20)]))
    restored, _ = Session(save_model(model), "cpu").run(np.ones((1, 3, 2, 2), np.float32))
    assert (restored == -1).all()


def test_graphs_nested_without_end_are_refused(save_model):
    """Written byte by byte: the onnx package cannot nest so deeply."""

    def message(field: int, content: bytes) -> bytes:
        size, digits = len(content), []
        while size >= 0x80:
            digits.append(size & 0x7F | 0x80)
            size >>= 7
        return bytes([field << 3 | 2, *digits, size]) + content

    node, attribute, graph_of_model, graph_of_attribute = 1, 5, 7, 6
    graph = b""
    for _ in range(5000):
        graph = message(node, message(attribute, message(graph_of_attribute, graph)))
    with pytest.raises(WetgateError, match="nested"):
        open_model(save_model(message(graph_of_model, graph)))


@pytest.mark.parametrize(
    ("model", "sentence"),
    [
        (lambda: with_metadata(contract=str(CONTRACT_VERSION + 1)), "newer Wetgate"),
        (lambda: with_metadata(contract="soon"), "whole number"),
        (lambda: with_metadata(halo="-3"), "whole number"),
        (lambda: with_metadata(multiple="0"), "makes no sense"),
        (lambda: with_metadata(encoding="rec709"), "encoding 'rec709'"),
        (lambda: with_metadata(recipe=""), "names no recipe"),
        (lambda: with_metadata(radius=None), r"lacks 'wetgate\.radius'"),
        (lambda: with_metadata(record=json.dumps({"seed": 2})), "altered after training"),
        (lambda: with_metadata(record="{"), "not readable"),
        (lambda: with_metadata(radius="1"), r"should be \[N, 9, H, W\]"),
        (lambda: identity(ModelCard(recipe="color"), inputs=[value("picture", 3)]), "should be 'frames'"),
        (
            lambda: identity(ModelCard(recipe="color"), inputs=[value("frames", 3), value("mask", 1)]),
            "it has 'frames', 'mask'",
        ),
        (
            lambda: identity(ModelCard(recipe="color"), outputs=[value("restored", 3), value("depth", 1)]),
            "perhaps 'coverage'",
        ),
        (lambda: identity(inputs=[value("frames", 3, TensorProto.FLOAT16)]), "is float16"),
        (lambda: identity(inputs=[value("frames", 3, TensorProto.UINT8)]), "is uint8"),
        (lambda: identity(inputs=[value("frames", 1)]), r"\[\?, 1, \?, \?\]"),
        (lambda: identity(inputs=[value("frames", 3, size=(256, 256))]), "fixed to 256x256"),
        (lambda: identity(inputs=[value("frames", 3), value("sigma", 1)]), "one input"),
        (lambda: identity(outputs=[value("restored", 4)]), "'restored' has shape"),
    ],
)
def test_what_does_not_keep_the_contract_is_refused(save_model, model, sentence):
    with pytest.raises(WetgateError, match=sentence) as caught:
        open_model(save_model(model(), "wrong.onnx"))
    assert "wrong.onnx" in str(caught.value)


def test_a_file_that_only_onnxruntime_can_refuse(save_model):
    broken = model_of([helper.make_node("NoSuchOperator", ["frames"], ["restored"])])
    with pytest.raises(WetgateError, match=r"broken\.onnx cannot be loaded"):
        Session(save_model(broken, "broken.onnx"), "cpu")


def test_local_paths_are_found_and_node_names_are_not(tmp_path):
    model = encoder_decoder()
    model.graph.node[0].name = "/encoder/conv1/Conv"
    model.graph.node[1].output[0] = "/encoder/conv1/Conv_output_0"
    assert local_paths_in(model.SerializeToString()) == []
    for path in (
        "/home/ana/film/net.py",
        str(tmp_path / "net"),
        r"C:\Users\ana\net",
        "file://server/net",
        "lib/net.py",
    ):
        model.graph.node[0].doc_string = f'File "{path}", line 3'
        assert local_paths_in(model.SerializeToString()), path
