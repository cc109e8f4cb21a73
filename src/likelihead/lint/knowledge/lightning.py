"""Lightning's Trainer: it calls the steps of the module with the batches of the loaders that it is handed."""

from __future__ import annotations

from likelihead.lint.knowledge.call import Call, constructor
from likelihead.lint.knowledge.objects import METHODS
from likelihead.lint.values import UNKNOWN, Const, Function, Instance, List, Object, Repeat, Value

__all__: list[str] = []

_TRAINERS = ("pytorch_lightning.Trainer", "lightning.Trainer", "lightning.pytorch.Trainer")
# Of each method of the Trainer: the steps that it calls, the arguments that hold their loaders, and the
# method of a module or data module that makes one.
_STEPS = {
    "fit": (
        ("training_step", (1, "train_dataloaders"), "train_dataloader"),
        ("validation_step", (2, "val_dataloaders"), "val_dataloader"),
    ),
    "validate": (("validation_step", (1, "dataloaders"), "val_dataloader"),),
    "test": (("test_step", (1, "dataloaders"), "test_dataloader"),),
    "predict": (("predict_step", (1, "dataloaders"), "predict_dataloader"),),
}
# What changes a batch on its way to the step.
_TRANSFERS = ("on_before_batch_transfer", "on_after_batch_transfer", "transfer_batch_to_device")


@constructor(*_TRAINERS)
def _trainer(call: Call) -> Value:
    return call.object(())


def _run(trainer: Object, call: Call) -> Value:
    """Each step is called, with a batch of its loader."""
    module = call.get(0, "model")
    if not isinstance(module, Instance):
        return UNKNOWN
    result: Value = Const(None)
    for step, loader, maker in _STEPS[call.name]:
        method = _method(module, step)
        if method is None:
            continue
        source = _source(call, loader)
        batch = _batch(source if source is not None else module, maker, call)
        if any(_method(module, name) for name in _TRANSFERS):
            batch = UNKNOWN
        count = len(method.node.args.args) - 2
        interpreter, mode = call.interpreter, Const(step == "training_step")
        interpreter.set_training(module, mode, call.frame)
        bound = interpreter.attribute(module, step, call.node, call.frame)
        result = interpreter.call(bound, [batch, *[UNKNOWN] * count], {}, call.node, call.frame)
    call.interpreter.set_training(module, UNKNOWN, call.frame)
    return List([Repeat(result)], "list", call.frame.context) if call.name == "predict" else UNKNOWN


def _source(call: Call, loader: tuple[int, str]) -> Value | None:
    """The loader, or the data module in its place or by its name; None where neither is given."""
    if "datamodule" in call.kwargs:
        return call.kwargs["datamodule"]
    first = call.given(1, "")
    if isinstance(first, Instance) and any(_method(first, maker) for maker in _MAKERS):
        return first
    return call.given(*loader)


_MAKERS = tuple(maker for steps in _STEPS.values() for _, _, maker in steps)


def _method(owner: Instance, name: str) -> Function | None:
    found = owner.cls.find(name)
    return found[0] if found is not None and isinstance(found[0], Function) else None


def _batch(source: Value, maker: str, call: Call) -> Value:
    """A batch of a loader, of the first of several, or of the one that a data module makes."""
    interpreter, frame = call.interpreter, call.frame
    if isinstance(source, Instance) and any(_method(source, name) for name in _TRANSFERS):
        return UNKNOWN
    if isinstance(source, Instance) and _method(source, maker) is not None:
        for name, given in (("prepare_data", []), ("setup", [UNKNOWN])):
            if _method(source, name) is not None:
                bound = interpreter.attribute(source, name, call.node, frame)
                interpreter.call(bound, list(given), {}, call.node, frame)
        bound = interpreter.attribute(source, maker, call.node, frame)
        source = interpreter.call(bound, [], {}, call.node, frame)
    if isinstance(source, List):
        source = source.element()
    return interpreter.element(source, None, frame) if isinstance(source, Object) else UNKNOWN


for _name in _TRAINERS:
    for _step in _STEPS:
        METHODS[_name, _step] = _run
