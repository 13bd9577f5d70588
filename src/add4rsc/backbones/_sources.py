"""Where pretrained weights are to be had; nothing is downloaded here."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class WeightSource:
    """Where the pretrained weights of one backbone are to be had."""

    backbone: str
    form: str
    """Which of the backbone's published forms the file at `url` has."""
    url: str
    licence: str
    size: str
    """Download size in words."""
    origin: str
    """Who trained them, and on what."""
    sha256: str = ""
    """Of the file at `url`: whole, its first digits where no more is published, or empty."""

    packaged: str = ""
    """Name of the file that comes with the package, in `add4rsc/models`; such weights need no import."""

    def describes(self, sha256: str) -> bool:
        """Whether that is the hash of the published file."""
        return bool(self.sha256) and sha256.startswith(self.sha256)


def _torchvision(backbone: str, sha256: str, size: str) -> WeightSource:
    return WeightSource(
        backbone=backbone,
        form="torchvision",
        url=f"https://download.pytorch.org/models/{backbone}-{sha256}.pth",
        licence="BSD-3-Clause (torchvision); ImageNet's own terms are for research",
        size=size,
        origin="torchvision, ImageNet-1k (IMAGENET1K_V1); He et al., CVPR 2016",
        sha256=sha256,
    )


def _panns(backbone: str, file: str, size: str, sha256: str = "") -> WeightSource:
    return WeightSource(
        backbone=backbone,
        form="panns",
        url=f"https://zenodo.org/record/3987831/files/{file.replace('=', '%3D')}.pth",
        licence="CC-BY-4.0",
        size=size,
        origin=f"AudioSet, mAP {file.partition('=')[2]}; Kong et al., IEEE/ACM TASLP 2020",
        sha256=sha256,
    )


WEIGHTS: Mapping[str, WeightSource] = {
    "mn04/audioset": WeightSource(
        backbone="mn04",
        form="efficientat",
        url="https://github.com/fschmid56/EfficientAT/releases/download/v0.0.1/mn04_as_mAP_432.pt",
        licence="MIT",
        size="4 MB",
        origin="AudioSet, mAP 0.432; Schmid, Koutini, Widmer, ICASSP 2023",
        sha256="899a8c6217063f6941793102a2780b3dd788ab11fce468d9cf5f0577c453321c",
    ),
    "ast/audioset-10-10": WeightSource(
        backbone="ast",
        form="original",
        url="https://www.dropbox.com/s/cv4knew8mvbrnvq/audioset_0.4593.pth?dl=1",
        licence="BSD-3-Clause",
        size="350 MB",
        origin="ImageNet and AudioSet, mAP 0.459; Gong, Chung, Glass, Interspeech 2021",
        sha256="dfc313e5082dc37ece8bd3bd6e7ea8bfee6598179a14eedd15c1727ad0af788f",
    ),
    "ast/audioset-10-10-hf": WeightSource(
        backbone="ast",
        form="hugging-face",
        url="https://huggingface.co/MIT/ast-finetuned-audioset-10-10-0.4593/resolve/main/model.safetensors",
        licence="BSD-3-Clause",
        size="346 MB",
        origin="ImageNet and AudioSet, mAP 0.459; Gong, Chung, Glass, Interspeech 2021",
    ),
    "ast/audioset-16-16": WeightSource(
        backbone="ast",
        form="original",
        url="https://www.dropbox.com/s/mdsa4t1xmcimia6/audioset_16_16_0.4422.pth?dl=1",
        licence="BSD-3-Clause",
        size="350 MB",
        origin="ImageNet and AudioSet, patches that do not overlap, mAP 0.442; Gong, Chung, Glass, Interspeech 2021",
    ),
    "ast/small-m2d": WeightSource(
        backbone="ast",
        form="trained here",
        url="",
        licence="CC-BY-4.0, and for research (the corpora's own terms)",
        size="4 MB, in the package",
        origin="training parts of SPRSound 2022 and of a subset of ICBHI 2017, by the recipe m2d/ast-small-pretraining",
        sha256="a34537ad62da14a09dc6b4ac1bad387c6bfec41edf5341feb13b1c163018d967",
        packaged="ast-small-m2d.safetensors",
    ),
    "m2d_vit/audioset-80x200-16x4": WeightSource(
        backbone="m2d_vit",
        form="released",
        url="https://github.com/nttcslab/m2d/releases",
        licence="NTT's own, for research (LICENSE.pdf of the repository)",
        size="about 350 MB unpacked",
        origin="AudioSet without labels, 80 bands x 200 frames, patches 16 x 4; Niizumi et al., IEEE/ACM TASLP 2024",
    ),
    "clap/laion-unfused": WeightSource(
        backbone="clap",
        form="transformers",
        url="https://huggingface.co/laion/clap-htsat-unfused/resolve/main/model.safetensors",
        licence="Apache-2.0",
        size="615 MB",
        origin="LAION-Audio-630K and others; Wu et al., ICASSP 2023",
    ),
    "resnest50/imagenet": WeightSource(
        backbone="resnest50",
        form="resnest",
        url="https://github.com/zhanghang1989/ResNeSt/releases/download/weights_step1/resnest50-528c19ca.pth",
        licence="Apache-2.0; ImageNet's own terms are for research",
        size="105 MB",
        origin="ImageNet-1k, top-1 81.0 %; Zhang et al. 2020",
        sha256="528c19ca",
    ),
    "resnet18/imagenet": _torchvision("resnet18", "f37072fd", "45 MB"),
    "resnet34/imagenet": _torchvision("resnet34", "b627a593", "83 MB"),
    "resnet50/imagenet": _torchvision("resnet50", "0676ba61", "98 MB"),
    "panns_cnn6/audioset": _panns("panns_cnn6", "Cnn6_mAP=0.343", "24 MB"),
    "panns_cnn10/audioset": _panns("panns_cnn10", "Cnn10_mAP=0.380", "25 MB"),
    "panns_cnn14/audioset": _panns(
        "panns_cnn14",
        "Cnn14_mAP=0.431",
        "327 MB",
        "0dc499e40e9761ef5ea061ffc77697697f277f6a960894903df3ada000e34b31",
    ),
}
