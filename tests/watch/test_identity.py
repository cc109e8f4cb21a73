"""What a watched script computes is what it computes unwatched, bit for bit, its random numbers too."""

from __future__ import annotations

import copy
import pickle
import random
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.checkpoint import checkpoint
from torch.utils.data import DataLoader, Dataset, TensorDataset

from likelihead.watch.engine import FIRST_STEPS
from likelihead.watch.record import Record
from likelihead.watch.session import Session

Script = Callable[[], list[Tensor]]
SCRIPTS: list[Any] = []


def script(function: Script) -> Script:
    """This is run bare, and then watched."""
    SCRIPTS.append(pytest.param(function, id=function.__name__))
    return function


def seeded(run: Script) -> list[Tensor]:
    """Its results, and where it leaves the generators."""
    torch.manual_seed(0)
    random.seed(0)
    np.random.seed(0)
    results = run()
    numbers = [random.random(), np.random.random()]
    return [*(result.detach() for result in results), torch.get_rng_state(), torch.tensor(numbers)]


def watched(run: Script) -> tuple[list[Tensor], Record]:
    session = Session().start()
    try:
        results = seeded(run)
    finally:
        record = session.finish()
    return results, record


def trained(
    model: nn.Module,
    loss: Callable[[Tensor, Tensor], Tensor],
    optimizer: torch.optim.Optimizer | None = None,
    accumulate: int = 1,
    steps: int = FIRST_STEPS + 3,
) -> list[Tensor]:
    optimizer = torch.optim.SGD(model.parameters(), 0.1) if optimizer is None else optimizer
    losses = []
    for _ in range(steps):
        optimizer.zero_grad()
        for _ in range(accumulate):
            value = loss(model(torch.randn(4, 8)), torch.randint(3, (4,))) / accumulate
            value.backward()
        optimizer.step()
        losses.append(value.detach())
    return [torch.stack(losses), *model.state_dict().values()]


def network() -> nn.Sequential:
    return nn.Sequential(nn.Linear(8, 16), nn.GELU(), nn.Dropout(0.3), nn.Linear(16, 3))


@script
def dropout_adamw_autocast_and_accumulation() -> list[Tensor]:
    model = network()
    optimizer = torch.optim.AdamW(model.parameters(), 1e-2)
    with torch.autocast("cpu", torch.bfloat16):
        return trained(model, nn.CrossEntropyLoss(label_smoothing=0.1), optimizer, accumulate=3)


class Checkpointed(nn.Module):
    def __init__(self, reentrant: bool) -> None:
        super().__init__()
        self.first, self.last, self.reentrant = network(), nn.Linear(3, 3), reentrant

    def forward(self, x: Tensor) -> Tensor:
        x = x.requires_grad_()
        return self.last(checkpoint(self.first, x, use_reentrant=self.reentrant).softmax(1))


@script
def checkpoints() -> list[Tensor]:
    return trained(Checkpointed(reentrant=False), F.cross_entropy)


@script
def reentrant_checkpoints() -> list[Tensor]:
    return trained(Checkpointed(reentrant=True), F.cross_entropy)


@script
def a_loss_in_a_checkpoint() -> list[Tensor]:
    def loss(z: Tensor, y: Tensor) -> Tensor:
        return checkpoint(F.cross_entropy, z, y, use_reentrant=False)

    return trained(network(), loss)


@script
def transforms() -> list[Tensor]:
    x, y, weight = torch.randn(4, 5), torch.randint(3, (4,)), torch.randn(5, 3)

    def loss(weight: Tensor, x: Tensor, y: Tensor) -> Tensor:
        return F.cross_entropy((x @ weight).log_softmax(-1), y)

    each = torch.func.vmap(torch.func.grad(loss), in_dims=(None, 0, 0))(weight, x, y)
    hessian = torch.func.hessian(loss)(weight, x, y)
    _, tangent = torch.func.jvp(lambda w: loss(w, x, y), (weight,), (weight,))
    return [each, hessian, tangent]


@script
def double_backward() -> list[Tensor]:
    def penalised(z: Tensor, y: Tensor) -> Tensor:
        (gradient,) = torch.autograd.grad(F.cross_entropy(z, y), z, create_graph=True)
        return F.cross_entropy(z, y) + gradient.square().sum()

    return trained(network(), penalised)


class Drawn(Dataset[Tensor]):
    """Draws in the worker, from each of the generators, and calls a loss there."""

    def __len__(self) -> int:
        return 12

    def __getitem__(self, index: int) -> Tensor:
        x = torch.rand(3) + random.random()
        return torch.cat([x, F.mse_loss(x, torch.ones(3)).reshape(1)])


@script
def loader_with_workers() -> list[Tensor]:
    generator = torch.Generator().manual_seed(3)
    loader = DataLoader(
        Drawn(), 4, shuffle=True, num_workers=2, generator=generator, multiprocessing_context="fork"
    )
    return [*loader, *loader, generator.get_state()]


@script
def loader() -> list[Tensor]:
    data = TensorDataset(torch.arange(40.0))
    return [torch.cat([x for (x,) in DataLoader(data, 8, shuffle=True)]) for _ in range(3)]


@script
def lbfgs() -> list[Tensor]:
    model, x, y = network().eval(), torch.randn(16, 8), torch.randint(3, (16,))
    optimizer = torch.optim.LBFGS(model.parameters(), max_iter=5, line_search_fn="strong_wolfe")

    def closure() -> float:
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        return loss.item()

    for _ in range(4):
        optimizer.step(closure)
    return list(model.parameters())


@script
def a_function_of_theirs_in_torch_s_place() -> list[Tensor]:
    original = F.cross_entropy

    def theirs(*args: Any, **kwargs: Any) -> Tensor:
        return 2 * original(*args, **kwargs)

    F.cross_entropy = theirs
    try:
        doubled = trained(network(), nn.CrossEntropyLoss(), steps=2)
    finally:
        F.cross_entropy = original
    return [*doubled, *trained(network(), nn.CrossEntropyLoss(), steps=2)]


@script
def an_object_of_theirs_in_torch_s_place() -> list[Tensor]:
    class Doubled:
        def __init__(self, original: Any) -> None:
            self.original = original

        def __call__(self, *args: Any, **kwargs: Any) -> Any:
            return 2 * self.original(*args, **kwargs)

    original = F.softmax
    F.softmax = Doubled(original)
    try:
        return [F.softmax(torch.randn(2, 3), 1), nn.Softmax(1)(torch.randn(2, 3))]
    finally:
        F.softmax = original


@script
def functions_of_theirs_that_call_torch_s() -> list[Tensor]:
    places: list[tuple[Any, str]] = [(torch, "exp")]
    places += [(F, name) for name in ("softmax", "dropout", "layer_norm", "linear")]
    places += [(Tensor, name) for name in ("softmax", "add", "backward", "norm", "split")]
    calls: list[str] = []

    def counting(name: str, original: Any) -> Any:
        def call(*args: Any, **kwargs: Any) -> Any:
            calls.append(name)
            return original(*args, **kwargs)

        return call

    before = [(owner, name, getattr(owner, name)) for owner, name in places]
    inherited = [(owner, name) for owner, name in places if name not in vars(owner)]
    for owner, name, original in before:
        setattr(owner, name, counting(name, original))
    try:
        x = nn.Parameter(torch.randn(4, 3))
        y = F.layer_norm(F.dropout(F.softmax(x, 1).softmax(0), 0.5), (3,)).add(1)
        z = torch.exp(F.linear(y, torch.ones(3, 3))).norm(dim=1).split(2)[0]
        z.sum().backward()
    finally:
        for owner, name, original in before:
            if (owner, name) in inherited:
                delattr(owner, name)
            else:
                setattr(owner, name, original)
    return [z, x.grad, torch.tensor([sum(call.encode()) for call in calls])]


class Holder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.network = network()
        self.loss = F.cross_entropy
        self.smooth = partial(F.cross_entropy, label_smoothing=0.2)

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        z = self.network(x)
        return self.loss(z, y) + self.smooth(z, y)


@script
def copies_and_pickles() -> list[Tensor]:
    model = Holder()
    copied, pickled = copy.deepcopy(model), pickle.loads(pickle.dumps(model))
    x, y = torch.randn(4, 8), torch.randint(3, (4,))
    probs = model.network(x).softmax(1)
    again = pickle.loads(pickle.dumps(probs.detach()))
    return [*(each.eval()(x, y) for each in (model, copied, pickled)), again, copy.copy(probs)]


@script
@pytest.mark.filterwarnings("ignore:`torch.jit")
def scripted_and_traced() -> list[Tensor]:
    class Scored(nn.Module):
        def forward(self, x: Tensor, y: Tensor) -> Tensor:
            return F.cross_entropy(x.softmax(1), y)

    x, y = torch.randn(4, 3), torch.randint(3, (4,))
    return [torch.jit.script(Scored())(x, y), torch.jit.trace(Scored(), (x, y))(x, y)]


@script
def fx_and_export() -> list[Tensor]:
    class Scored(nn.Module):
        def forward(self, x: Tensor, y: Tensor) -> Tensor:
            return F.cross_entropy(x.softmax(1), y)

    x, y = torch.randn(4, 3), torch.randint(3, (4,))
    traced = torch.fx.symbolic_trace(Scored())
    assert [node.target for node in traced.graph.nodes if node.op == "call_function"] == [F.cross_entropy]
    exported = torch.export.export(Scored(), (x, y)).module()
    return [traced(x, y), exported(x, y)]


class Named(Tensor):
    """A subclass that tells of the functions that were called on it."""

    called: ClassVar[list[Any]] = []

    @classmethod
    def __torch_function__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        cls.called.append(func)
        return super().__torch_function__(func, types, args, kwargs or {})


@script
def a_subclass() -> list[Tensor]:
    Named.called.clear()
    x = torch.randn(4, 3).as_subclass(Named)
    loss = F.cross_entropy(x.softmax(1), torch.randint(3, (4,)))
    assert type(loss) is Named
    assert F.cross_entropy in Named.called
    return [loss.as_subclass(Tensor), torch.tensor(len(Named.called))]


@script
def nested_and_sparse() -> list[Tensor]:
    parts = [torch.randn(2, 3), torch.randn(4, 3)]
    nested = torch.nested.nested_tensor(parts, layout=torch.jagged).softmax(-1)
    sparse = torch.eye(3).to_sparse()
    return [nested.values(), (sparse @ torch.randn(3, 3)).relu(), sparse.to_dense()]


@script
def distributed_tensors() -> list[Tensor]:
    from torch import distributed
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.tensor import Shard, distribute_tensor

    distributed.init_process_group("gloo", store=distributed.HashStore(), rank=0, world_size=1)
    try:
        mesh = init_device_mesh("cpu", (1,))
        x = distribute_tensor(torch.randn(4, 3), mesh, [Shard(0)]).requires_grad_()
        y = distribute_tensor(torch.randint(3, (4,)), mesh, [Shard(0)])
        loss = F.cross_entropy(x.relu(), y)
        loss.backward()
        return [loss.full_tensor(), x.grad.full_tensor()]
    finally:
        distributed.destroy_process_group()


@script
def inference_mode() -> list[Tensor]:
    with torch.inference_mode():
        probs = torch.randn(4, 3).softmax(1)
        loss = F.cross_entropy(probs, torch.randint(3, (4,)))
        probs.mul_(2)
        return [loss.clone(), probs.argmax(1), F.cross_entropy(probs, torch.zeros(4).long())]


@script
def a_default_device_and_dtype() -> list[Tensor]:
    torch.set_default_device("cpu")
    torch.set_default_dtype(torch.float64)
    try:
        results = trained(network(), F.cross_entropy, steps=3)
    finally:
        torch.set_default_dtype(torch.float32)
        torch.set_default_device(None)
    with torch.device("meta"):
        shapes = F.cross_entropy(torch.randn(4, 3), torch.randint(3, (4,)))
    return [*results, torch.tensor(shapes.shape)]


class Counting(TorchFunctionMode):
    def __init__(self) -> None:
        super().__init__()
        self.functions: list[str] = []

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.functions.append(torch.overrides.resolve_name(func) or "")
        return func(*args, **(kwargs or {}))


class Dispatching(TorchDispatchMode):
    def __init__(self) -> None:
        super().__init__()
        self.operators: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.operators.append(str(func))
        return func(*args, **(kwargs or {}))


@script
def modes_of_theirs() -> list[Tensor]:
    with Counting() as functions:
        results = trained(network(), F.cross_entropy, steps=FIRST_STEPS + 2)
    with Dispatching() as operators:
        results += trained(network(), F.cross_entropy, steps=FIRST_STEPS + 2)
    words = [*functions.functions, *operators.operators]
    return [*results, torch.tensor([sum(word.encode()) for word in words])]


@script
def encoder() -> list[Tensor]:
    """Its fast path asks whether anybody overrides torch's functions."""
    layer = nn.TransformerEncoderLayer(16, 2, 32, batch_first=True)
    model = nn.TransformerEncoder(layer, 2).eval()
    with torch.no_grad():
        return [model(torch.randn(3, 5, 16))]


@script
def gradients_of_the_script_s_own() -> list[Tensor]:
    class Doubled(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Tensor) -> Tensor:
            return x.softmax(1)

        @staticmethod
        def backward(ctx: Any, gradient: Tensor) -> Tensor:
            return 2 * gradient.tanh()

    seen: list[Tensor] = []
    model = network()
    for parameter in model.parameters():
        parameter.register_hook(lambda gradient: seen.append(gradient.sum()))
        parameter.register_post_accumulate_grad_hook(lambda one: seen.append(one.grad.sum()))
    return [*trained(model, lambda z, y: F.cross_entropy(Doubled.apply(z), y)), torch.stack(seen)]


@pytest.fixture(autouse=True)
def _torch_as_it_was() -> Iterator[None]:
    functions, depth = {name: getattr(F, name) for name in dir(F)}, torch._C._len_torch_function_stack()
    yield
    assert torch._C._len_torch_function_stack() == depth
    assert all(getattr(F, name) is function for name, function in functions.items())


@pytest.mark.filterwarnings("ignore:`torch.jit")
@pytest.mark.parametrize("run", SCRIPTS)
def test_results_and_generators_are_the_same(run: Script) -> None:
    bare = seeded(run)
    results, record = watched(run)
    assert len(results) == len(bare)
    assert [one.dtype for one in results] == [one.dtype for one in bare]
    assert all(map(torch.equal, bare, results))
    assert not [note for note in record.notes if note.kind == "fault"]
