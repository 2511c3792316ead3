"""Data sets by name: `load("digits")`.

Everything here works without a network but the three sets of others at the end of the
list (`mnist`, `fashion_mnist`, `cifar10`), which are fetched when they are asked for.
The numbers, digits and photographs come inside scikit-learn; points and shapes are made
from a seed; texts and sounds were made for this course and lie in `data/`. What each
set is, where it comes from and under which licence is in the set itself
(`print(dataset.describe())`) and in `data/README.md`.

Most sets are a `Dataset` of tensors. Shapes have boxes and masks as well (`Shapes`),
and texts stay texts (`TextSet`).

Left out: batches and shuffling between passes, which `training` holds.
"""

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F

from lib.examples import Dataset, Scaler, Split
from lib.picture_files import cifar10, fashion_mnist, mnist
from lib.plane_sets import circles, exclusive_or, moons, spirals
from lib.shapes import Shapes, shapes
from lib.sound_data import spoken_digits
from lib.text_data import TEXTS, TextSet

__all__ = ["DATASETS", "OTHERS", "Dataset", "Scaler", "Split", "load"]


def digits(size: int = 8, flat: bool = True) -> Dataset:
    """1,797 handwritten digits in shades of grey, ten classes.

    Args:
        size: pixels along each side. 8 is the original; up to 64 they are enlarged
            (bilinear), so that 28 fits networks made for MNIST. Nothing is gained in
            detail by that.
        flat: x is (1797, size * size); False gives pictures (1797, 1, size, size).

    Returns:
        x float32 from 0 (paper) to 1 (ink), y int64 from 0 to 9.
    """
    from sklearn.datasets import load_digits

    if not isinstance(size, int) or not 8 <= size <= 64:
        raise ValueError(f"size is {size!r}; give a whole number from 8 to 64.")
    bundle = load_digits()
    x = torch.from_numpy(bundle.images).float()[:, None] / 16  # (N, 1, 8, 8)
    if size != 8:
        x = F.interpolate(x, size=(size, size), mode="bilinear", align_corners=False)
    return Dataset(
        name="digits",
        x=x.flatten(1) if flat else x,
        y=torch.from_numpy(bundle.target).long(),
        features=(),
        targets=tuple("0123456789"),
        description=(
            "1,797 digits written by 13 people: 8 x 8 pixels, each the number of dark "
            "dots, 0 to 16, in a block of 4 x 4 of the scan."
        ),
        source=(
            "E. Alpaydin, C. Kaynak, Optical Recognition of Handwritten Digits, UCI "
            "Machine Learning Repository, 1998 (its test part), as in scikit-learn"
        ),
        licence="as UCI states it; scikit-learn, BSD-3-Clause, includes it",
    )


# The names in the study and what its authors say of each. They name one unit, years;
# the one of body mass index is its definition's.
_DIABETES = (
    "age (years)",
    "sex (1 or 2)",
    "bmi (kg/m²)",
    "bp (average blood pressure)",
    "s1 (total serum cholesterol)",
    "s2 (low-density lipoproteins)",
    "s3 (high-density lipoproteins)",
    "s4 (total cholesterol / HDL)",
    "s5 (possibly log of serum triglycerides)",
    "s6 (blood sugar)",
)


def diabetes() -> Dataset:
    """442 diabetes patients: ten measurements, and how far the disease went in a year.

    Returns:
        x (442, 10) float32 in the units of the study, not standardised; y (442,)
        float32, the study's measure of disease progression, 25 to 346, which has no
        unit.
    """
    from sklearn.datasets import load_diabetes

    bundle = load_diabetes(scaled=False)
    return Dataset(
        name="diabetes",
        x=torch.from_numpy(bundle.data).float(),
        y=torch.from_numpy(bundle.target).float(),
        features=_DIABETES,
        targets=("disease progression after one year",),
        description=(
            "442 diabetes patients: age, sex, body mass index, average blood pressure "
            "and six blood measurements, with a measure of disease progression one "
            "year later."
        ),
        source=(
            "B. Efron, T. Hastie, I. Johnstone, R. Tibshirani, Least Angle Regression, "
            "Annals of Statistics 32, 2004, as in scikit-learn"
        ),
        licence="none stated by the authors; scikit-learn, BSD-3-Clause, includes it",
    )


def line(
    n: int = 40,
    slope: float = 2.0,
    intercept: float = 1.0,
    noise: float = 0.5,
    seed: int = 0,
) -> Dataset:
    """Points scattered about a line that you choose: y = slope x + intercept + noise.

    Args:
        n: how many points; x is uniform between -1 and 1.
        noise: standard deviation of the normal noise, 0 or more.

    Returns:
        x (n, 1) and y (n,), float32.
    """
    if not isinstance(n, int) or n < 1:
        raise ValueError(f"n is {n!r}; give a whole number of points, 1 or more.")
    if not (
        0 <= noise < math.inf and math.isfinite(slope) and math.isfinite(intercept)
    ):
        raise ValueError(
            f"slope={slope}, intercept={intercept}, noise={noise}: give finite numbers "
            "and noise of 0 or more."
        )
    generator = torch.Generator().manual_seed(seed)
    x = 2 * torch.rand(n, 1, generator=generator) - 1
    y = slope * x[:, 0] + intercept + noise * torch.randn(n, generator=generator)
    return Dataset(
        name="line",
        x=x,
        y=y,
        features=("x",),
        targets=("y",),
        description=f"{n} points about the line y = {slope:g} x + {intercept:g}.",
        source=f"made for this course, seed {seed}",
        licence="Apache-2.0",
    )


def wine() -> Dataset:
    """178 Italian wines of three growers: thirteen chemical measurements each.

    Returns:
        x (178, 13) float32, in units that the source does not state; y int64, 0 to 2.
    """
    from sklearn.datasets import load_wine

    bundle = load_wine()
    return Dataset(
        name="wine",
        x=torch.from_numpy(bundle.data).float(),
        y=torch.from_numpy(bundle.target).long(),
        features=tuple(bundle.feature_names),
        targets=("grower 1", "grower 2", "grower 3"),
        description=(
            "178 wines of one region of Italy by three growers, with thirteen chemical "
            "measurements."
        ),
        source=(
            "S. Aeberhard, M. Forina, Wine, UCI Machine Learning Repository, 1992, as "
            "in scikit-learn"
        ),
        licence="as UCI states it; scikit-learn, BSD-3-Clause, includes it",
    )


def breast_cancer() -> Dataset:
    """569 breast tumours: thirty measurements of cell nuclei, malignant or benign.

    Returns:
        x (569, 30) float32, lengths in the scale of the pictures; y int64, 0 malignant,
        1 benign.
    """
    from sklearn.datasets import load_breast_cancer

    bundle = load_breast_cancer()
    return Dataset(
        name="breast_cancer",
        x=torch.from_numpy(bundle.data).float(),
        y=torch.from_numpy(bundle.target).long(),
        features=tuple(bundle.feature_names.tolist()),
        targets=tuple(bundle.target_names.tolist()),
        description=(
            "569 tumours of the breast: mean, standard error and worst value of ten "
            "measurements of cell nuclei in a picture, and the diagnosis."
        ),
        source=(
            "W. Wolberg, O. Mangasarian, N. Street, W. Street, Breast Cancer Wisconsin "
            "(Diagnostic), UCI Machine Learning Repository, 1995, as in scikit-learn"
        ),
        licence="as UCI states it; scikit-learn, BSD-3-Clause, includes it",
    )


def photographs() -> Dataset:
    """Two photographs in colour: a temple in China, and a flower.

    Returns:
        x (2, 3, 427, 640) float32 from 0 to 1, red, green, blue; y int64, 0 and 1.
    """
    from sklearn.datasets import load_sample_images

    images = load_sample_images().images  # each (height, width, 3) uint8
    x = torch.stack([torch.from_numpy(image.copy()) for image in images])
    return Dataset(
        name="photographs",
        x=x.permute(0, 3, 1, 2).float() / 255,
        y=torch.arange(2),
        features=(),
        targets=("china", "flower"),
        description="A temple in China and a flower, in colour, 427 x 640 pixels.",
        source=(
            "danielbuechele (china) and vultilion (flower) on Flickr, 2011, as in "
            "scikit-learn"
        ),
        licence="CC BY 2.0",
    )


# All of these are bundled and are a `Dataset` to learn from.
DATASETS: dict[str, Callable[..., Dataset]] = {
    "digits": digits,
    "diabetes": diabetes,
    "line": line,
    "wine": wine,
    "breast_cancer": breast_cancer,
    "circles": circles,
    "moons": moons,
    "spirals": spirals,
    "exclusive_or": exclusive_or,
    "spoken_digits": spoken_digits,
}
# Two pictures, pictures with boxes and masks, texts, and what has to be fetched.
OTHERS: dict[str, Callable[..., Dataset | Shapes | TextSet]] = {
    "photographs": photographs,
    "shapes": shapes,
    **TEXTS,
    "mnist": mnist,
    "fashion_mnist": fashion_mnist,
    "cifar10": cifar10,
}


def load(
    name: str, device: torch.device | str | None = None, **options
) -> Dataset | Shapes | TextSet:
    """The data set of that name: `load("digits", size=28)`.

    Args:
        name: one of `DATASETS` or `OTHERS`.
        device: where the tensors go; None leaves them on the CPU. Texts have none.
        options: as the function of that name takes them.

    Raises:
        ValueError: for an unknown name, with the list of names; for a device with
            texts; for a damaged file.
        TypeError: for an option the set does not have.
        FileNotFoundError: for a missing file, with what to do.
    """
    sets = DATASETS | OTHERS
    if name not in sets:
        raise ValueError(
            f"There is no data set {name!r}; choose one of {', '.join(sets)}."
        )
    if device is not None and name in TEXTS:
        raise ValueError(f"{name!r} is text and lies on no device; leave device out.")
    dataset = sets[name](**options)
    return dataset if device is None else dataset.to(device)
