"""Scores that functions of authors' scripts give, for author_numbers.py."""

import __future__

import ast
import copy
import importlib
import os
import sys
import tempfile
from types import SimpleNamespace
from unittest.mock import MagicMock, patch

import numpy as np
import pandas as pd
import torch
from author_code import CHECKOUTS, OnPixels, WithMaps, code, settings
from torch import nn
from torch.utils.data import DataLoader, TensorDataset
from tqdm import tqdm

STEPS = 3
"""Of JEM's chains."""


def definition(path, name, **given):
    """Returns a function or class of a file, none of whose other lines run.

    Args:
        path: The file.
        name: Of the function or class.
        given: Other names that it reads; torch and NumPy are there.
    """
    tree = ast.parse(path.read_text())
    tree.body = [one for one in tree.body if getattr(one, "name", None) == name]
    names = {"np": np, "torch": torch, "nn": nn, "F": nn.functional, "os": os}
    names |= {"tqdm": tqdm, "Variable": torch.as_tensor, **given}
    later = __future__.annotations.compiler_flag
    exec(compile(tree, str(path), "exec", later), names)
    return names[name]


def loader(images):
    return DataLoader(TensorDataset(images, torch.zeros(len(images))), 50)


def numbers(tensor):
    return tensor.data.numpy()


def embeddings():
    """Returns directions of images, of ten classes' texts and of 37 others."""
    rng, counts = np.random.default_rng(2), {"images": 60, "texts": 10, "negatives": 37}
    rows = {k: torch.from_numpy(rng.normal(size=(n, 8))) for k, n in counts.items()}
    return {k: nn.functional.normalize(each.float()) for k, each in rows.items()}


def bats(folder, known):
    path = folder / "bats" / CHECKOUTS["bats"][2] / "test_ood.py"
    z = known.features["train"]
    net = SimpleNamespace(
        forward_features=lambda images: known.net(images, return_feature=True)[1],
        forward_head=known.net.fc,
    )
    arguments = 1, 1.0, z.std(0, correction=0), z.mean(0), True
    function = definition(path, "iterate_data_energy")
    return function(loader(known.images["test"]), net, *arguments)


def davis(kind):
    def scores(folder, known):
        net = WithMaps().eval()
        net.dim_in, net.my_encoder, net.output_layer = 6, net.layers[:6], net.fc
        off = dict.fromkeys(["threshold", "ash_p", "scale_p"])
        options = SimpleNamespace(
            ood_eval_type=kind, std=1, temp=1, in_dataset="CIFAR-10", **off
        )
        path = folder / "davis/utils/score.py"
        parts = {
            name: definition(path, name) for name in ("get_features", "get_logits")
        }
        with torch.no_grad():
            pooled = definition(path, "get_odin_feature")
            z = pooled(known.images["test"], net, options)
            return definition(path, "get_energy_score", **parts)(z, net, options)

    return scores


def doctor(error):
    def scores(folder, known):
        path = folder / "doctor/lib_discriminators/discriminators.py"
        p = known.logits["test"].double().softmax(1)
        frame = pd.DataFrame(p.numpy()).assign(label=p.argmax(1), true=0)
        errors = definition(path, error)(frame)
        return -np.array(definition(path, "doctor_ratio")(errors))

    return scores


def ex_grad(folder, known):
    """The two factors, which the code plots; the gradients are commented out there."""
    path, plot = folder / "exgrad/epistemic_tests.py", MagicMock()
    given = {"plt": plot, "mlflow": MagicMock(), "tqdm": SimpleNamespace(tqdm=list)}
    function = definition(path, "epistemic_test_epigrad_originalL1", **given)
    net = copy.deepcopy(known.net)
    net.features = lambda images: net(images, return_feature=True)[1]
    images = [(each[None], None) for each in known.images["test"]]
    function(images, [], "", "", net, None, len(images), False, "")
    norms, spreads = map(np.array, plot.scatter.call_args_list[0].args)
    return -2 * norms * spreads


def jem(kind):
    """The chains have no noise."""

    def scores(folder, known):
        path, pixels = folder / "jem/eval_wrn_ebm.py", OnPixels(known.net, known.arrays)
        model = definition(path, "CCF", F=nn.Module, t=torch)
        net = model.__new__(model)
        nn.Module.__init__(net)
        net.classify = lambda states: pixels((states + 1) / 2)
        states = 2 * pixels.pixels(known.images["test"]) - 1
        options = SimpleNamespace(
            score_fn=kind, n_steps=STEPS, datasets=["cifar10"], save_dir="", sigma=0
        )
        still = SimpleNamespace(**vars(torch))
        still.randn_like = torch.zeros_like
        given = {"DataLoader": lambda *_, **__: [(states, None)], "args": options}
        function = definition(
            path, "logp_hist", t=still, tr=MagicMock(), tv=MagicMock(), **given
        )
        plot = MagicMock()
        modules = dict.fromkeys(["matplotlib", "matplotlib.pyplot", "seaborn"], plot)
        plot.pyplot = plot
        with patch.dict(sys.modules, modules):
            function(net, options, "cpu")
        return np.array(plot.hist.call_args.args[0])

    return scores


def joint_energy(folder, known):
    function = definition(folder / "joint_energy/lib.py", "get_logits", to_np=numbers)
    with tempfile.TemporaryDirectory() as home:
        np.save(f"{home}/found.npy", known.logits["test"].double().numpy())
        options = SimpleNamespace(save_path=f"{home}/", ood="energy", method="sum")
        return function(None, None, None, options, name="found")


def mcm(folder, known):
    images, texts, _ = embeddings().values()
    net = SimpleNamespace(
        get_image_features=lambda pixel_values: pixel_values,
        get_text_features=lambda **_: texts,
    )
    words = {"input_ids": texts, "attention_mask": texts}
    tokens = SimpleNamespace(from_pretrained=lambda name: lambda *_, **__: words)
    path = folder / "mcm/utils/detection_util.py"
    function = definition(path, "get_ood_scores_clip", CLIPTokenizer=tokens)
    options = SimpleNamespace(model="CLIP", score="MCM", T=1, ckpt="")
    return -function(options, net, loader(images), [])


def mutual_info(folder, known):
    """Three members, whose logits are made of embeddings."""
    images, texts, _ = embeddings().values()
    f = 10 * images @ texts.T
    members = torch.stack([f, f.roll(1, 1) / 2, f / 3], 1)
    name = "torch-uncertainty"
    path = folder / name / CHECKOUTS[name][2] / "mutual_information.py"
    given = {"Metric": object, "dim_zero_cat": torch.cat}
    metric = object.__new__(definition(path, "MutualInformation", **given))
    metric.reduction, metric.values = "none", []
    metric.update(members.double().softmax(2))
    return -metric.compute()


def neglabel(folder, known):
    """Five groups, drawn on the CPU."""
    images, texts, negatives = embeddings().values()
    cpu = SimpleNamespace(**vars(torch))
    cpu.randperm = lambda count, device: torch.randperm(count)
    registry = SimpleNamespace(register_module=lambda: lambda kind: kind)
    path = folder / "neglabel/mmcls/models/ood/clip_ood.py"
    kind = definition(
        path, "ScalableClassifier", torch=cpu, OOD=registry, BaseModule=object
    )
    detector = object.__new__(kind)
    detector.t, detector.local_rank = 0.01, 0
    cosines = (images.double() @ rows.double().T for rows in (texts, negatives))
    return detector.grouping(*cosines, None, 5, True)


def ras(folder, known):
    """Equal features are put in the order of `ras` here."""
    sort = SimpleNamespace(**vars(torch))

    def ascending(rows, dim):
        found = rows.sort(dim=dim, descending=True, stable=True)
        return found.values.flip(dim), found.indices.flip(dim)

    sort.sort = ascending
    source = folder / "ras/src"
    net = definition(source / "ras_net.py", "RASNet", torch=sort)(known.net)
    path = source / "ras_postprocessor.py"
    kind = definition(path, "RASPostprocessor", BasePostprocessor=object)
    detector = object.__new__(kind)
    detector.setup_flag = False
    detector.setup(net, known.loaders(), None)
    return detector.postprocess(net, known.images["test"])[1]


def sem(folder, known):
    """OpenOOD's code, on another network, since it reads maps."""
    torch.cuda.FloatTensor = torch.FloatTensor
    net = WithMaps().eval()

    def network(images, return_feature_list):
        logits = net(images)
        return logits, [net.layers[:3](images), net.before_head_data]

    given = {
        "feature_type_list": ["stat", "flat"],
        "reduce_dim_list": ["none", "none"],
        "num_clusters_list": [3, 10],
        "alpha_list": [-0.1, 1],
    }
    with code(folder, "openood"):
        module = importlib.import_module("openood.postprocessors.gmm_postprocessor")
        detector = module.GMMPostprocessor(settings(**given))
        batch = {"data_aux": known.images["train"], "label": known.labels["train"]}
        detector.setup(network, {"train": [batch]}, None)
        with torch.no_grad():
            return detector.postprocess(network, known.images["test"])[1]


def vra(folder, known):
    """The limits are taken as the script does."""
    limits = known.features["train"].quantile(torch.tensor([0.6, 0.9]), 0)
    options = SimpleNamespace(featmin=limits[0], featmax=limits[1])
    function = definition(folder / "vra/quick_ood.py", "f", args=options)
    with torch.no_grad():
        return known.net.fc(function(known.features["test"])).logsumexp(1)


def xent_to_uniform(folder, known):
    given = {"args": SimpleNamespace(use_xent=True, test_bs=50), "to_np": numbers}
    given |= {"ood_num_examples": 60 * 50, "concat": np.concatenate}
    path = folder / "outlier-exposure/CIFAR/test.py"
    function = definition(path, "get_ood_scores", net=known.net, **given)
    return -function(loader(known.images["test"]))


SCRIPTS = {
    "bats": bats,
    "davis": davis("avg+std"),
    "davis max": davis("max"),
    "doctor": doctor("g_x"),
    "doctor beta": doctor("pe_x"),
    "ex_grad": ex_grad,
    "jem_grad_norm": jem("pxgrad"),
    "jem_refine": jem("refine"),
    "jem_refine_grad": jem("refinegrad"),
    "jem_refine_l2": jem("refinel2"),
    "joint_energy": joint_energy,
    "log_px": jem("px"),
    "mcm": mcm,
    "mutual_info": mutual_info,
    "neglabel": neglabel,
    "ras": ras,
    "sem": sem,
    "vra": vra,
    "xent_to_uniform": xent_to_uniform,
}
