"""Zero-shot classifiers of OpenCLIP give the library's own numbers."""

import copy
import json
import logging
import sys
from types import SimpleNamespace

import pytest
import torch
from torch.nn.functional import normalize
from torchvision.transforms.functional import normalize as normalised

from oodbench import InputError, load_network

CONFIG = {
    "model_cfg": {
        "embed_dim": 16,
        "vision_cfg": {
            "image_size": 16,
            "layers": 1,
            "width": 16,
            "head_width": 8,
            "patch_size": 8,
        },
        "text_cfg": {
            "context_length": 16,
            "vocab_size": 49408,
            "width": 16,
            "heads": 2,
            "layers": 1,
        },
    },
    "preprocess_cfg": {"mean": [0.5, 0.4, 0.3], "std": [0.2, 0.3, 0.25]},
}
NAMES = ["cat", "sports_car", "owl"]


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    """A small CLIP model, its file of weights, and what loads it."""
    library = pytest.importorskip("open_clip")
    folder = tmp_path_factory.mktemp("clip")
    (folder / "open_clip_config.json").write_text(json.dumps(CONFIG))
    with torch.random.fork_rng():
        torch.manual_seed(0)
        module = library.create_model(f"local-dir:{folder}", load_weights=False).eval()
    file = folder / "clip.pt"
    torch.save(module.state_dict(), file)
    words = folder / "words.txt"
    words.write_text("\n".join(f"word{number}" for number in range(40)))

    def load(arch=f"openclip:local-dir:{folder}", size=None, **arguments):
        arguments = {"classes": ",".join(NAMES)} | arguments
        return load_network(file, arch=arch, arch_args=arguments, size=size)

    return SimpleNamespace(
        library=library, module=module, file=file, words=str(words), load=load
    )


def embedded(clip, *texts):
    tokens = clip.library.get_tokenizer(f"local-dir:{clip.file.parent}")(list(texts))
    with torch.no_grad():
        return clip.module.encode_text(tokens, normalize=True)


def test_logits_are_those_of_the_library(clip):
    network = clip.load()
    pixels = torch.rand(4, 3, 16, 16)
    texts = embedded(clip, *(f"a photo of a {n}" for n in ("cat", "sports car", "owl")))
    with torch.no_grad():
        images = clip.module.encode_image(
            normalised(pixels, [0.5, 0.4, 0.3], [0.2, 0.3, 0.25]), normalize=True
        )
        expected = clip.module.logit_scale.exp() * images @ texts.T
    result = network(pixels)
    torch.testing.assert_close(result.logits, expected)
    torch.testing.assert_close(result.features, images)
    torch.testing.assert_close(network.texts, texts)
    assert network.class_names == tuple(NAMES)
    assert network.source["scale"] == f"{clip.module.logit_scale.exp():g}"
    assert json.loads(network.source["texts"])["templates"] == ["a photo of a {}"]


def test_the_key_depends_on_how_texts_are_read(clip, tmp_path):
    """Without the full stop, which another tokenizer leaves out, texts differ."""
    changed = copy.deepcopy(CONFIG)
    changed["model_cfg"]["text_cfg"]["tokenizer_kwargs"] = {"clean": "canonicalize"}
    (tmp_path / "open_clip_config.json").write_text(json.dumps(changed))
    archs = [f"openclip:local-dir:{path}" for path in (clip.file.parent, tmp_path)]
    one, other = (clip.load(arch, template="a {}.") for arch in archs)
    assert not torch.allclose(one.texts, other.texts)
    assert one.fingerprint() != other.fingerprint()


def test_several_templates_are_averaged(clip, tmp_path):
    (tmp_path / "templates.txt").write_text("a {}\nmy {}\n")
    found = clip.load(template=str(tmp_path / "templates.txt")).texts
    both = [embedded(clip, *(f"{a} {n}" for n in ("cat", "sports car", "owl")))
            for a in ("a", "my")]  # fmt: skip
    torch.testing.assert_close(found, normalize(both[0] + both[1]))


def test_negatives_are_mined_of_nouns_and_adjectives_apart(clip):
    words = {"nouns": clip.words, "adjectives": clip.words, "share": "0.25"}
    network = clip.load(**words, quantile="1")
    assert network.negatives.shape == (20, 16)
    first = [f"the nice word{number}" for number in range(40)]
    similar = (embedded(clip, *first) @ network.texts.T).amax(1)
    least = embedded(clip, *(first[number] for number in similar.argsort()[:10]))
    torch.testing.assert_close(network.negatives[:10], least)


def test_the_key_depends_on_all_texts_and_on_no_folder(clip, monkeypatch):
    changes = [
        {},
        {"classes": "cat,dog,owl"},
        {"template": "a {}"},
        {"nouns": clip.words},
        {"nouns": clip.words, "share": "0.5"},
    ]
    keys = [clip.load(**change).fingerprint() for change in changes]
    assert len(set(keys)) == len(keys)
    monkeypatch.chdir(clip.file.parent.parent)
    same = clip.load(arch=f"openclip:local-dir:{clip.file.parent.name}")
    assert same.fingerprint() == keys[0]
    assert str(clip.file.parent) not in str(clip.load().source)


def test_the_library_stays_silent_and_leaves_logging_alone(clip, caplog):
    handlers = list(logging.getLogger().handlers)
    clip.load()
    assert logging.getLogger().handlers == handlers
    assert [record.name for record in caplog.records] == ["oodbench.networks.load"]


@pytest.mark.parametrize(
    ("arch", "message"),
    [
        ("openclip:ViT-B-33", "did you mean 'ViT-B-32'"),
        ("openclip:local-dir:nowhere", "OpenCLIP cannot build local-dir:nowhere"),
    ],
)
def test_another_architecture_is_refused(clip, arch, message):
    with pytest.raises(InputError, match=message):
        clip.load(arch=arch)


def test_the_size_of_images_is_fixed(clip):
    with pytest.raises(InputError, match="has its own size of images, 16x16"):
        clip.load(size=(32, 32))


@pytest.mark.slow
def test_openais_weights_need_another_activation(clip):
    from oodbench.networks.zero_shot.openclip_models import build

    assert "ViT-B-32-quickgelu for OpenAI's" in build("ViT-B-32").assumed[0]
    with pytest.raises(InputError, match="does not fit RN50 of OpenCLIP"):
        clip.load(arch="openclip:RN50")


def test_a_missing_extra_is_one_sentence(monkeypatch, tmp_path):
    torch.save({"logit_scale": torch.ones(1)}, tmp_path / "clip.pt")
    monkeypatch.setitem(sys.modules, "open_clip", None)
    with pytest.raises(InputError, match=r"open_clip is not installed; .*openclip"):
        load_network(
            tmp_path / "clip.pt",
            arch="openclip:ViT-B-32",
            arch_args={"classes": "a,b"},
        )


def test_it_is_run_by_one_command_and_not_converted(clip, oodbench):
    described = (
        *("--arch", f"openclip:local-dir:{clip.file.parent}"),
        *("--arg", "classes=nought,one,two,three,four,five,six,seven"),
    )
    code, out, errors = oodbench(
        "run", "--model", str(clip.file), *described, "--in", "digits:0-7",
        "--out", "digits:8-9", "--detectors", "mcm,neglabel,msp", "--limit", "20",
        "--no-plots",
    )  # fmt: skip
    assert code == 0, errors
    assert "mcm" in out
    assert "neglabel on clip" in errors
    assert "no negative texts; give words by --arg nouns=FILE" in errors
    code, _, errors = oodbench(
        "convert", str(clip.file), *described, "--to", "clip.safetensors"
    )
    assert code != 0
    assert "keep their own files" in errors
