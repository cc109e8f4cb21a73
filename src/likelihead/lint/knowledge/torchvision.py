"""torchvision: classifiers and segmentation models give logits, and the focal loss takes them."""

from __future__ import annotations

from likelihead.lint.knowledge.call import FLAT, PACKAGES, Call, external
from likelihead.lint.knowledge.losses import Loss, register_function
from likelihead.lint.knowledge.networks import logits, network
from likelihead.lint.values import UNKNOWN, Value

__all__: list[str] = []

FLAT.update(("torchvision.models", "torchvision.ops"))

# How the names of the classifiers begin, and of those of videos. SqueezeNet is not there: a ReLU is its
# last layer.
_CLASSIFIERS = (
    "alexnet", "vgg", "resnet", "resnext", "wide_resnet", "densenet", "inception_v3", "googlenet",
    "mobilenet_",
    "mnasnet", "shufflenet_", "efficientnet_", "regnet_", "convnext_", "vit_", "swin_", "maxvit_", "r3d_",
    "mc3_",
    "r2plus1d_", "s3d", "mvit_", "swin3d_",
)  # fmt: skip
_SEGMENTATION = ("fcn_", "deeplabv3_", "lraspp_")
# These give the logits of a second head too while they train.
_AUXILIARY = ("inception_v3", "googlenet")


def _model(name: str, call: Call) -> Value:
    if name.startswith(_SEGMENTATION):
        return network(call, logits(call, name, call.given(9, "num_classes") or 21, 4), "out")
    if not name.startswith(_CLASSIFIERS) or name.endswith(("_Weights", "_weights")):
        return UNKNOWN
    output = logits(call, name, call.given(9, "num_classes") or 1000)
    with_auxiliary = name in _AUXILIARY and call.const(9, "aux_logits", True) is not False
    return network(call, output, "auxiliary" if with_auxiliary else "")


def _torchvision(call: Call) -> Value:
    module, _, name = call.name.rpartition(".")
    if module != "torchvision.models":
        return UNKNOWN
    if name == "get_model":
        named = call.const(0, "name")
        return _model(named, call) if isinstance(named, str) else UNKNOWN
    return _model(name, call)


PACKAGES["torchvision"] = _torchvision


@external("torch.hub.load")
def _hub(call: Call) -> Value:
    repository, name = call.const(0, "repo_or_dir"), call.const(1, "model")
    if not isinstance(repository, str) or not isinstance(name, str):
        return UNKNOWN
    return _model(name, call) if repository.startswith("pytorch/vision") else UNKNOWN


@external(
    "efficientnet_pytorch.EfficientNet.from_pretrained",
    "efficientnet_pytorch.EfficientNet.from_name",
)
def _efficientnet(call: Call) -> Value:
    if call.const(9, "include_top", True) is not True:
        return UNKNOWN
    return network(call, logits(call, "EfficientNet", call.given(9, "num_classes") or 1000))


_FOCAL = Loss(
    "bce_with_logits", "logits", (0, "inputs"), (1, "targets"),
    ("inputs", "targets", "alpha", "gamma", "reduction"), "none",
)  # fmt: skip
for _name in (
    "torchvision.ops.sigmoid_focal_loss",
    "fvcore.nn.sigmoid_focal_loss",
    "fvcore.nn.focal_loss.sigmoid_focal_loss",
):
    register_function(_name, _FOCAL)
register_function("fvcore.nn.sigmoid_focal_loss_jit", _FOCAL)
