"""Accelerate, Fabric, DeepSpeed and the like: they hand back what they are given."""

from __future__ import annotations

from likelihead.lint.knowledge.call import Call, constructor, external, op
from likelihead.lint.knowledge.objects import METHODS
from likelihead.lint.values import UNKNOWN, Instance, List, Object, Repeat, Value

__all__: list[str] = []

_FABRICS = (
    "lightning.Fabric",
    "lightning.fabric.Fabric",
    "lightning_fabric.Fabric",
    "lightning.pytorch.Fabric",
)
_ACCELERATORS = ("accelerate.Accelerator", "accelerate.accelerator.Accelerator")


@constructor(*_ACCELERATORS, *_FABRICS)
def _wrapper(call: Call) -> Value:
    return call.object(())


def _together(owner: Object, call: Call) -> Value:
    """Its arguments, as a tuple if there are several."""
    if len(call.args) == 1 and not isinstance(call.args[0], Repeat):
        return call.args[0]
    return List(call.args, "tuple", call.frame.context) if call.args else UNKNOWN


def _alone(owner: Object, call: Call) -> Value:
    return call.args[0] if call.args else UNKNOWN


@op("prepare", "prepare_model")
def _prepare(call: Call) -> Value:
    """So named, of anything that is handed a network: an accelerator that a function is given, say."""
    given = call.args[1:]
    if not any(isinstance(one, (Instance, List, Object)) for one in given):
        return UNKNOWN
    return given[0] if len(given) == 1 else List(given, "tuple", call.frame.context)


for _name in _ACCELERATORS:
    METHODS[_name, "prepare"] = _together
    for _method in ("prepare_model", "prepare_data_loader", "unwrap_model"):
        METHODS[_name, _method] = _alone
for _name in _FABRICS:
    for _method in ("setup", "setup_dataloaders"):
        METHODS[_name, _method] = _together
    for _method in ("setup_module", "to_device"):
        METHODS[_name, _method] = _alone


@external("deepspeed.initialize")
def _deepspeed(call: Call) -> Value:
    """The engine, which is called as the model is; the optimizer, the loader, the scheduler."""
    return List([call.get(1, "model"), UNKNOWN, UNKNOWN, UNKNOWN], "tuple", call.frame.context)


@external("apex.amp.initialize", "amp.initialize")
def _apex(call: Call) -> Value:
    optimizers = call.given(1, "optimizers")
    return call.get(0, "models") if optimizers is None else List(call.args[:2], "tuple", call.frame.context)


@external("intel_extension_for_pytorch.optimize", "ipex.optimize")
def _ipex(call: Call) -> Value:
    model = call.get(0, "model")
    optimizer = call.kwargs.get("optimizer")
    return model if optimizer is None else List([model, optimizer], "tuple", call.frame.context)


@external(
    "accelerate.load_checkpoint_and_dispatch",
    "accelerate.dispatch_model",
    "accelerate.cpu_offload",
    "peft.get_peft_model",
    "peft.prepare_model_for_kbit_training",
    "torch.distributed.fsdp.fully_shard",
    "torch.distributed._composable.fsdp.fully_shard",
    "torch.ao.quantization.prepare_qat",
    "torch.optim.swa_utils.AveragedModel",
    "torch.jit.optimize_for_inference",
    "torch.jit.freeze",
    "opacus.validators.ModuleValidator.fix",
)
def _same(call: Call) -> Value:
    return call.get(0, "model")
