"""Writes scores that authors' own code gives on the problem of openood_numbers.py.

    python benchmarks/author_numbers.py FOLDER tests/detectors/authors.npz

FOLDER holds checkouts of the authors' repositories under the names in CHECKOUTS of
author_code.py. The file holds the scores, and nothing of the code. Runs on a CPU; needs
tqdm, scikit-learn, torchvision, matplotlib and pandas.
"""

import argparse
import importlib
import os
import runpy
import sys
import tempfile
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import torch
from author_code import Known, OnPixels, WithMaps, code, random_features, settings
from author_scripts import SCRIPTS, embeddings
from openood_numbers import CLASSES, Loader
from torch import nn

from oodbench.jem.sampler import ChainNoise


def of_positive(z, percentile):
    """SCALE, with the sums of positive features alone, as `actsub` here."""
    rows = z.flatten(1).clamp(min=0)
    kept = rows.shape[1] - round(rows.shape[1] * percentile / 100)
    factor = rows.sum(1) / rows.topk(kept, dim=1).values.sum(1)
    return z * factor.exp()[:, None, None, None]


def actsub(folder, known):
    with code(folder, "actsub"):
        module = importlib.import_module("openood.postprocessors.actsub_postprocessor")
        module.scale = of_positive
        given = {"func": "scale", "lmbd": 2, "pp": 75, "is_proto": False, "c_idx": -1}
        detector = module.ActSubPostprocessor(settings(tune_decisive=False, **given))
        detector.prep(known.net, known.features["train"])
        detector.decisive_search_done = True
        return detector.postprocess(known.net, known.images["test"])[1]


def cadref(kind, logit_method):
    def scores(folder, known):
        mapping = SimpleNamespace(get_linear_layer_mapping=lambda *_: known.net.fc)
        with code(folder, "cadref", utils_dot_linear_mapping=mapping):
            module = importlib.import_module(f"ood_methods.{kind}")
            arguments = SimpleNamespace(
                logit_method=logit_method, model="", ind_dataset=""
            )
            detector = getattr(module, kind)(known.net, arguments, "cpu")
            z, f = known.features["train"], known.logits["train"]
            groups = [f.argmax(1) == k for k in range(CLASSES)]
            if kind == "CARef":
                detector.set_state(detector.get_mean_feature([z[g] for g in groups]))
            else:
                parts = [z[g] for g in groups], [f[g] for g in groups]
                detector.set_state(*detector.get_state(*parts))
            return detector.eval([(known.images["test"], None)])

    return scores


def gaia(function):
    """On another network, since it reads maps."""

    def scores(folder, known):
        with code(folder, "gaia"):
            hook = importlib.import_module("hook")
            module = importlib.import_module("cal_method")
            net = WithMaps().eval()
            hooks = [hook.Grad_all_hook(net.layers[place]) for place in (1, 4)]
            if function == "cal_grad_value":
                hooks.append(hook.Grad_feature_hook(net.layers[6]))
            images = known.images["test"]
            return -getattr(module, function)(net, images, "cpu", hooks)

    return scores


def grood(folder, known):
    """The gradients and their search; the prototypes are those of `grood` here."""
    noise = ChainNoise(0, range(400)).uniform(torch.zeros(400, 3, 4, 4))
    net = OnPixels(known.net, known.arrays)
    with torch.no_grad():
        unknown = net((noise + 1) / 2, return_feature=True)[1].mean(0)
    z, labels = known.features["train"], known.labels["train"]
    right = known.logits["train"].argmax(1) == labels
    classes = [k for k in range(CLASSES) if (right & (labels == k)).any()]
    means = torch.stack([z[right & (labels == k)].mean(0) for k in classes])
    with code(folder, "openood", faiss=ModuleType("faiss")):
        module = importlib.import_module("openood.postprocessors.grood")
        detector = object.__new__(module.GrOODPostprocessor)
        off = "distance_loss no_gradients use_pseudo_prototype use_direct_grad"
        vars(detector).update(dict.fromkeys([*off.split(), "use_grad_norm"], False))
        detector.device, detector.noise_proto = "cpu", unknown
        detector._prototypes_tensors = means

        def network(images, return_feature_list):
            f, own = known.net(images, return_feature=True)
            return f[:, classes], [own]

        detector.network = network
        own = (
            known.images["train"][right],
            torch.tensor([classes.index(k) for k in labels[right]]),
        )
        bank = torch.from_numpy(detector._compute_grad(own)["grads"]).double()

        def search(queries, count):
            away = torch.cdist(torch.from_numpy(queries).double(), bank).square()
            return away.topk(count, largest=False).values.numpy(), None

        detector.index = SimpleNamespace(search=search)
        return detector.postprocess(None, known.images["test"])[1]


def igeood(folder, known):
    with code(folder, "igeood"):
        module = runpy.run_path(str(folder / "igeood/src/measures.py"))
        f, labels = known.logits["train"], known.labels["train"]
        centres = torch.stack([f[labels == k].mean(0) for k in range(CLASSES)])
        return module["igeoodlogits"](
            known.logits["test"].double(), 1, centres.double()
        )


def kpca(*options):
    """The script reads its features from files; its random ones are those of `kpca`."""

    def scores(folder, known):
        metrics = SimpleNamespace(
            cal_metric=lambda *_: None, print_all_results=lambda *_: None
        )
        utils = SimpleNamespace(
            setup_seed=lambda seed: None, Logger=lambda **_: sys.stdout
        )
        with (
            code(folder, "kpca", utils=utils, metrics=metrics) as root,
            tempfile.TemporaryDirectory() as home,
            random_features(),
        ):
            cache = Path(home, "cache/CIFAR10/R18/ce")
            cache.mkdir(parents=True)
            files = {"train_in": "train", "val_in": "test", "x_out": "test"}
            for name, split in files.items():
                np.save(cache / f"{name}.npy", known.features[split].numpy().T)
            places = ["--cache_dir", f"{home}/cache", "--logs_dir", f"{home}/logs"]
            sys.argv = ["", *places, "--out_datasets", "x", *options]
            return runpy.run_path(str(root / "CoP_CoRP_c10.py"))["scores_in"]

    return scores


def line(folder, known):
    """The masked head; contributions are class means times weights."""
    with code(folder, "line"):
        module = importlib.import_module("models.route")
        z, labels = known.features["train"], known.labels["train"]
        weight = known.net.fc.weight.detach()
        info = torch.stack([z[labels == k].mean(0) for k in range(CLASSES)]) * weight
        head = module.RouteLUNCH(
            z.shape[1], CLASSES, p_w=60, p_a=40, info=info.numpy().T
        )
        head.load_state_dict(known.net.fc.state_dict())
        with torch.no_grad():
            return head(known.features["test"].clamp(max=1)).logsumexp(1)


def mahalanobis(kind):
    def scores(folder, known):
        with code(folder, "maha-norm"):
            name = f"openood.postprocessors.{kind}_postprocessor"
            module = importlib.import_module(name)
            detector = getattr(module, f"{kind.upper()}Postprocessor")(settings())
            detector.setup(known.net, known.loaders(), None)
            return detector.postprocess(known.net, known.images["test"])[1]

    return scores


def nac(folder, known):
    """The last layer, whose neurons are the features."""
    with code(folder, "nac"):
        parent = "openood.postprocessors.nac"
        package = sys.modules[parent] = ModuleType(parent)
        package.__path__ = [str(folder / "nac/openood/postprocessors/nac")]
        coverage, state, utils = (
            importlib.import_module(f"{parent}.{part}")
            for part in ("coverage", "instr_state", "utils")
        )
        function = utils.get_state_func("sigmoid(o*g_kl)", sig_alpha=100)

        def states(split):
            z = known.features[split].double().requires_grad_()
            gradient = state.kl_grad(z, known.net.fc.double()(z))
            return function(z.detach(), None, gradient)

        estimator = coverage.Estimator(16, 50, 50, "cpu")
        estimator.update(states("train"))
        estimator.get_score()
        found = estimator.ood_test(states("test"))
        known.net.float()
        return found


def adascale(kind):
    def scores(folder, known):
        rank = "statsmodels.distributions.empirical_distribution"
        package = ModuleType(rank)
        package.ECDF = lambda own: (
            lambda new: np.searchsorted(np.sort(own), new, side="right") / len(own)
        )
        with code(folder, "openood", **{rank.replace(".", "_dot_"): package}):
            networks = importlib.import_module("openood.networks.adascale_net")
            name = "openood.postprocessors.adascale_postprocessor"
            module = importlib.import_module(name)
            backbone = OnPixels(known.net, known.arrays)
            net = getattr(networks, kind)(backbone)
            given = {"percentile": (61, 85), "k1": 20, "k2": 10, "lmbda": 10, "o": 0.05}
            detector = module.AdaScalePostprocessor(settings(**given))
            pixels = {n: backbone.pixels(images) for n, images in known.images.items()}
            detector.setup(net, {"val": Loader(pixels["val"], known.labels["val"])}, {})
            detector.set_hyperparam(list(given.values()))
            return detector.postprocess(net, pixels["test"])[1]

    return scores


def optfs(folder, known):
    z, f = (own["train"].numpy() for own in (known.features, known.logits))
    stub = SimpleNamespace(get_feature_train=lambda *_: (z, f.argmax(1)))
    config = SimpleNamespace(dataset=SimpleNamespace(id_dataset="x"), model_type="x")
    known.net.get_fc = lambda: (known.net.fc.weight, known.net.fc.bias)
    choice, np.random.choice = np.random.choice, lambda every, *_, **__: list(every)
    home = Path.cwd()
    with (
        code(folder, "optfs", utils_dot_func=stub) as root,
        tempfile.TemporaryDirectory() as own,
    ):
        package = sys.modules["detector"] = ModuleType("detector")
        package.__path__ = [str(root / "detector")]
        os.chdir(own)
        Path("output/logit_contrib").mkdir(parents=True)
        try:
            detector = importlib.import_module("detector.ours").Ours()
            detector.setup(known.net, config, None)
            return detector.postprocess(known.net, known.images["test"])[1]
        finally:
            os.chdir(home)
            np.random.choice = choice
            del known.net.get_fc


def angles(name):
    """A function of ORA's repository, of features and logits."""

    def scores(folder, known):
        with code(folder, "ora", faiss=ModuleType("faiss")):
            module = importlib.import_module("util.ood_methods")
            z, labels = known.features["train"], known.labels["train"]
            means = known.class_means().double()
            test = [(one.double(), own.double()) for one, own in known.test()]
            if name == "neco":
                with tempfile.TemporaryDirectory() as home:
                    return module.neco_score(z.double(), test, home, device="cpu")
            if name == "mahalanobisplus":
                return module.mahalanobisplus_score(z, labels, test, CLASSES, "cpu")
            function = getattr(module, f"{name}_score")
            found = function(known.net.double(), test, CLASSES, means, "cpu")
            known.net.float()
            return found

    return scores


def pro(kind, **more):
    def scores(folder, known):
        with code(folder, "pro"):
            name = f"openood.postprocessors.pro2_{kind}_postprocessor"
            module = importlib.import_module(name)
            detector = getattr(module, f"PROv2_{kind.upper()}_Postprocessor")
            detector = detector(settings(noise_level=0, **more))
            detector.set_hyperparam([0.002, 3])
            net = OnPixels(known.net, known.arrays)
            return detector.postprocess(net, net.pixels(known.images["test"]))[1]

    return scores


def ssd(folder, known):
    stubs = {
        "models": SimpleNamespace(SupResNet=None, SSLResNet=None),
        "data": ModuleType("data"),
        "faiss": ModuleType("faiss"),
    }
    found = {}
    with code(folder, "ssd", **stubs):
        module = importlib.import_module("eval_ssd")
        module.get_fpr = lambda inside, _: found.setdefault("scores", inside)
        train, test = (known.features[n].double().numpy() for n in ("train", "test"))
        options = SimpleNamespace(clusters=1)
        module.get_eval_results(train, test.copy(), test.copy(), None, options)
    return -found["scores"]


def weiper(folder, known):
    """With one perturbation for all batches, that of `weiper` here."""
    shape = 100, *known.net.fc.weight.shape
    noise = torch.from_numpy(np.random.default_rng(0).normal(size=shape)).float()
    draws = iter(())

    def drawn(like):
        nonlocal draws
        if (own := next(draws, None)) is None:
            draws = iter(noise)
            own = next(draws)
        return own

    usual, torch.randn_like = torch.randn_like, drawn
    try:
        with code(folder, "weiper"):
            parent = "openood.postprocessors.weiper_kldiv"
            package = sys.modules[parent] = ModuleType(parent)
            place = "weiper/Weiper/OpenOOD/openood/postprocessors/weiper_kldiv"
            package.__path__ = [str(folder / place)]
            module = importlib.import_module(f"{parent}_postprocessor")
            detector = module.WeiPerKLDivPostprocessor(
                settings(
                    lambda_1=2.5,
                    lambda_2=0.1,
                    exact_minmax=True,
                    smoothing=4,
                    smoothing_perturbed=15,
                    n_bins=100,
                    perturbation_distance=1.8,
                    n_repeats=100,
                    n_samples_for_setup=400,
                )
            )
            detector.setup(known.net, known.loaders(), None)
            return detector.postprocess(known.net, known.images["test"])[1]
    finally:
        torch.randn_like = usual


CASES = {
    "actsub": actsub,
    "cadref": cadref("CADRef", "GEN"),
    "cadref msp": cadref("CADRef", "MSP"),
    "caref": cadref("CARef", ""),
    "gaia": gaia("cal_grad_value"),
    "gaia zero": gaia("cal_zero"),
    "grood": grood,
    "igeood": igeood,
    "kpca": kpca("--exp_var_ratio", ".85"),
    "kpca of random features": kpca(
        *("--method", "CoRP", "--exp_var_ratio", ".8", "--gamma", "2", "--M", "64")
    ),
    "line": line,
    "mahalanobis_pp": mahalanobis("mdsn"),
    "relative_mahalanobis_pp": mahalanobis("rmdsn"),
    "mahalanobis_pp of ora": angles("mahalanobisplus"),
    "nac": nac,
    "adascale_a": adascale("AdaScaleANet"),
    "adascale_l": adascale("AdaScaleLNet"),
    "optfs": optfs,
    "ora": angles("ora"),
    "max_cosine": angles("plaincos"),
    "neco": angles("neco"),
    "pro": pro("msp", temperature=1),
    "pro entropy": pro("ent"),
    "ssd": ssd,
    "weiper": weiper,
}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("file", type=Path)
    options = parser.parse_args()
    torch.Tensor.cuda = nn.Module.cuda = lambda self, *_: self
    problem_file = Path(__file__).parents[1] / "tests/detectors/openood.npz"
    known = Known(dict(np.load(problem_file)))
    found = {}
    for name, scores in (CASES | SCRIPTS).items():
        found[name] = np.asarray(torch.as_tensor(scores(options.folder, known)))
    weights = {f"with maps {k}": v for k, v in WithMaps().state_dict().items()}
    np.savez_compressed(options.file, **found, **weights, **embeddings())


if __name__ == "__main__":
    main()
