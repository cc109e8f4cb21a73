"""A patched model of transformers trains as it did, without logits; what is not followed is refused."""

from __future__ import annotations

import copy
import inspect
import io
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.checkpoint import checkpoint

from likelihead.errors import BackendError, DTypeError, OptionError
from likelihead.integrations.huggingface import patch, unpatch
from likelihead.kernels.fused import linear_chunks

os.environ["HF_HUB_OFFLINE"] = "1"
transformers = pytest.importorskip("transformers", minversion="5")

V = 61


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """For models this small a second thread is one to wait for."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


SIZES = {
    "vocab_size": V,
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "head_dim": 8,
    "max_position_embeddings": 64,
    "pad_token_id": 0,
}
GPT2 = {
    "vocab_size": V,
    "n_embd": 16,
    "n_layer": 2,
    "n_head": 2,
    "n_positions": 64,
    "bos_token_id": 1,
    "eos_token_id": 1,
}
ROUTED = {
    **SIZES,
    "num_local_experts": 3,
    "num_experts_per_tok": 2,
    "output_router_logits": True,
    "experts_implementation": "eager",  # the others take no float64
}
GRIFFIN = {**SIZES, "logits_soft_cap": 0.05, "lru_width": 16, "use_cache": False}
ENCODER = {**SIZES, "num_labels": 2}

# A model's name, and what its configuration is made of. Caps and scales are such that leaving them out shows.
FAMILIES: dict[str, tuple[str, dict[str, Any]]] = {
    "llama": ("LlamaForCausalLM", SIZES),
    "llama, tied": ("LlamaForCausalLM", {**SIZES, "tie_word_embeddings": True}),
    "qwen2": ("Qwen2ForCausalLM", SIZES),
    "qwen3": ("Qwen3ForCausalLM", SIZES),
    "mistral": ("MistralForCausalLM", SIZES),
    "mixtral": ("MixtralForCausalLM", ROUTED),
    "gemma2": ("Gemma2ForCausalLM", {**SIZES, "final_logit_softcapping": 0.05}),
    "gemma3": ("Gemma3ForCausalLM", {**SIZES, "final_logit_softcapping": 0.05}),
    "gpt2": ("GPT2LMHeadModel", GPT2),
    "gpt-oss": ("GptOssForCausalLM", ROUTED),
    "gpt-neox": ("GPTNeoXForCausalLM", SIZES),
    "phi": ("PhiForCausalLM", SIZES),  # its head has a bias
    "cohere": ("CohereForCausalLM", {**SIZES, "logit_scale": 3.0}),
    "granite": ("GraniteForCausalLM", {**SIZES, "logits_scaling": 0.25}),
    "recurrent gemma": ("RecurrentGemmaForCausalLM", GRIFFIN),
    "bart": ("BartForCausalLM", {"vocab_size": V, "d_model": 16, "decoder_layers": 1, "decoder_ffn_dim": 24,
                                 "decoder_attention_heads": 2, "max_position_embeddings": 64}),
    "bert": ("BertForMaskedLM", SIZES),
    "t5": ("T5ForConditionalGeneration", {"vocab_size": V, "d_model": 16, "d_kv": 8, "d_ff": 24,
                                          "num_layers": 1, "num_heads": 2, "decoder_start_token_id": 0}),
}  # fmt: skip


def make(family: str, dtype: torch.dtype = torch.float64, **more: Any) -> Any:
    name, sizes = FAMILIES[family]
    of = getattr(transformers, name)
    torch.manual_seed(0)
    model = of(of.config_class(**{**sizes, **more})).to(dtype).train()
    with torch.no_grad():
        for parameter in model.parameters():  # biases, too
            parameter.add_(0.02 * torch.randn_like(parameter))
    return model


def batch(rows: int = 3, length: int = 12, seed: int = 1) -> dict[str, Tensor]:
    """Tokens, some of them not to be learnt, as many as the seed has it."""
    draw = torch.Generator().manual_seed(seed)
    tokens = torch.randint(1, V, (rows, length), generator=draw)
    labels = tokens.clone()
    labels[torch.rand(rows, length, generator=draw) < 0.1 * seed] = -100
    return {"input_ids": tokens, "labels": labels}


def gradients(model: nn.Module) -> dict[str, Tensor]:
    taken = {n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None}
    model.zero_grad()
    return taken


def step(model: Any, **inputs: Any) -> tuple[Any, dict[str, Tensor]]:
    torch.manual_seed(3)
    outputs = model(**inputs)
    outputs["loss"].backward()
    return outputs, gradients(model)


def close(got: Tensor, want: Tensor, name: str = "") -> None:
    """To float32, in which transformers has its logits."""
    torch.testing.assert_close(got, want, rtol=1e-5, atol=1e-7, msg=lambda said: f"{name}: {said}")


def check_same(model: Any, patched: Any = None, **inputs: Any) -> tuple[Any, Any]:
    """Loss, gradients and all outputs but the logits, of the model and of the model when it is patched."""
    want, of_want = step(model, **inputs)
    patched = patch(model) if patched is None else patched
    got, of_got = step(patched, **inputs)
    torch.testing.assert_close(got["loss"], want["loss"])
    assert of_got.keys() == of_want.keys()
    assert any(bool(grad.any()) for grad in of_want.values())
    for name, grad in of_want.items():
        close(of_got[name], grad, name)
    assert got.get("logits") is None
    assert set(want) - set(got) == {"logits"}
    for field in ("hidden_states", "attentions", "router_logits", "aux_loss"):
        if field in want:
            torch.testing.assert_close(got[field], want[field])
    return want, got


@pytest.mark.parametrize("family", FAMILIES)
def test_loss_and_gradients_are_the_models(family: str) -> None:
    check_same(make(family), **batch())


def test_the_cap_and_the_scale_show() -> None:
    for family, without in [
        ("gemma2", {"final_logit_softcapping": None}),
        ("cohere", {"logit_scale": 1.0}),
        ("granite", {"logits_scaling": 1.0}),
    ]:
        with_it, bare = (make(family, **more)(**batch()).loss for more in ({}, without))
        assert (with_it - bare).abs() > 1e-3, family


def test_what_the_trainer_hands_on() -> None:
    inputs = batch()
    model = make("llama")
    for more in (
        {"num_items_in_batch": torch.tensor(17)},
        {"num_items_in_batch": 17},
        {"shift_labels": inputs["labels"].flip(-1)},
        {"ignore_index": int(inputs["labels"].max())},
        {"output_hidden_states": True, "output_attentions": True},
        {"use_cache": False},
        {"attention_mask": torch.ones_like(inputs["input_ids"]).tril(2)},
    ):
        given = {**inputs, **more}
        if "ignore_index" in more:
            given["labels"] = given["input_ids"]
        want, _ = check_same(model, **given)
        unpatch(model)
        assert more.keys() != {"num_items_in_batch"} or not want["loss"].isclose(model(**inputs).loss)


def test_router_losses_are_kept() -> None:
    for family in ("mixtral", "gpt-oss"):
        want, _ = check_same(make(family), **batch())
        assert want["aux_loss"] is not None
        assert want["loss"] - make(family, router_aux_loss_coef=0.0)(**batch()).loss > 1e-4


def test_labels_by_position_and_a_tuple() -> None:
    model = make("gpt2")
    names = list(inspect.signature(model.forward).parameters)
    inputs = batch()
    by_position = [inputs.get(name) for name in names[: names.index("labels") + 1]]
    model.eval()  # no dropout
    want = model(*by_position)
    got = patch(model, skip_logits=True)(*by_position, return_dict=False)
    assert isinstance(got, tuple)
    assert got[1] is None
    torch.testing.assert_close(got[0], want.loss)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_has_its_loss_in_float32(dtype: torch.dtype) -> None:
    exact = make("gemma2", final_logit_softcapping=3.0)
    model = make("gemma2", final_logit_softcapping=3.0).to(dtype)
    exact.load_state_dict(model.state_dict())
    inputs = batch(6, 40)
    want, of_want = step(exact, **inputs)
    plain, of_plain = step(model, **inputs)
    got, of_got = step(patch(model), **inputs)
    assert got.loss.dtype == plain.loss.dtype == torch.float32
    assert abs(got.loss - want.loss) <= abs(plain.loss - want.loss) + 1e-3
    assert {grad.dtype for grad in of_got.values()} == {dtype}
    error, theirs = (
        sum((g[name].double() - grad).square().sum() for name, grad in of_want.items()) ** 0.5
        for g in (of_got, of_plain)
    )
    assert error <= 1.3 * theirs


def test_autocast() -> None:
    model, inputs = make("llama", torch.float32), batch()
    with torch.autocast("cpu", torch.bfloat16):
        want = model(**inputs)
        got = patch(model)(**inputs)
    assert got.loss.dtype == want.loss.dtype == torch.float32
    torch.testing.assert_close(got.loss, want.loss, rtol=2e-3, atol=0)
    got.loss.backward()
    assert gradients(model)["lm_head.weight"].dtype == torch.float32


class NoLogits(TorchDispatchMode):
    """Fails where a tensor of tokens x vocabulary is made."""

    def __init__(self, entries: int) -> None:
        super().__init__()
        self.bytes = 2 * entries  # in bfloat16

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = func(*args, **(kwargs or {}))
        for each in made if isinstance(made, (tuple, list)) else (made,):
            if isinstance(each, Tensor) and each.untyped_storage().nbytes() >= self.bytes:
                raise AssertionError(f"{func} made {list(each.shape)}")
        return made


@pytest.mark.parametrize("family", ["llama", "gemma2"])
def test_a_patched_step_makes_no_logits(family: str) -> None:
    tokens, vocabulary = 1024, 32768
    model = make(family, torch.float32, vocab_size=vocabulary, max_position_embeddings=tokens)
    ids = torch.randint(vocabulary, (4, tokens // 4))
    with NoLogits((tokens - 4) * vocabulary):
        with pytest.raises(AssertionError, match="made"):
            model(input_ids=ids, labels=ids)
        patch(model)(input_ids=ids, labels=ids).loss.backward()
    assert all(bool(g.any()) for g in gradients(model).values())


# Training: the same losses at each of 50 steps, with the patch and without.


CAP = {"gemma2": {"final_logit_softcapping": 2.0}}


def micro_batches(steps: int, each: int = 2) -> Iterator[list[dict[str, Tensor]]]:
    """Of unequal counts of tokens."""
    for number in range(steps):
        seeds = range(each * number, each * (number + 1))
        yield [batch(2, 6 + 4 * (seed % 2), 1 + seed % 7) for seed in seeds]


def losses(model: Any, steps: int = 50) -> list[float]:
    """As the Trainer accumulates gradients: each micro-batch's sum over the tokens of the whole step."""
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=3e-3)
    taken = []
    torch.manual_seed(5)
    for parts in micro_batches(steps):
        count = sum(part["labels"][:, 1:].ne(-100).sum() for part in parts)
        total = 0.0
        for part in parts:
            loss = model(**part, num_items_in_batch=count).loss
            loss.backward()
            total += float(loss.detach())
        optimizer.step()
        optimizer.zero_grad()
        taken.append(total)
    return taken


def check_training(build: Callable[[], Any]) -> list[float]:
    want, got = losses(build()), losses(patch(build()))
    assert got == pytest.approx(want, abs=1e-4)
    assert want[-1] < want[0] - 0.1  # there is something to lose
    return want


@pytest.mark.parametrize("family", ["llama", "gemma2"])
def test_training_with_accumulated_gradients(family: str) -> None:
    check_training(lambda: make(family, torch.float32, **CAP.get(family, {})))


def test_accumulated_gradients_are_those_of_the_whole_batch() -> None:
    model = patch(make("llama"))
    whole = batch(4, 10, 3)
    _, want = step(model, **whole)
    count = whole["labels"][:, 1:].ne(-100).sum()
    for rows in (slice(0, 1), slice(1, 4)):
        model(**{k: v[rows] for k, v in whole.items()}, num_items_in_batch=count).loss.backward()
    got = gradients(model)
    for name, grad in want.items():
        close(got[name], grad, name)


def checkpointed(family: str) -> Any:
    model = make(family, torch.float32, **CAP.get(family, {}))
    enable = getattr(model, "activation_checkpointing_enable", None) or model.gradient_checkpointing_enable
    enable({"use_reentrant": False})
    return model


@pytest.mark.parametrize("family", ["llama", "gemma2"])
def test_training_under_activation_checkpointing(family: str) -> None:
    check_training(lambda: checkpointed(family))


@pytest.mark.parametrize("reentrant", [False, True])
def test_a_checkpoint_around_the_whole_model(reentrant: bool) -> None:
    model, inputs = patch(make("llama")), batch()
    _, want = step(model, **inputs)
    embedded = model.get_input_embeddings()(inputs["input_ids"])

    def run(states: Tensor) -> Tensor:
        return model(inputs_embeds=states, labels=inputs["labels"]).loss

    checkpoint(run, embedded, use_reentrant=reentrant).backward()
    got = gradients(model)
    for name, grad in want.items():
        close(got[name], grad, name)


# Low-rank adapters.

UNTIED = {"tie_word_embeddings": False}  # peft warns of the others


def adapted(family: str = "llama", dtype: torch.dtype = torch.float32, **more: Any) -> Any:
    peft = pytest.importorskip("peft")
    config = {"r": 4, "lora_alpha": 8, "target_modules": ["lm_head", "q_proj"], **more}
    model = peft.get_peft_model(
        make(family, dtype, **UNTIED, **CAP.get(family, {})), peft.LoraConfig(**config)
    )
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                parameter.normal_(std=0.1)
    return model


@pytest.mark.parametrize("family", ["llama", "gemma2"])
def test_training_a_low_rank_adapter_of_the_head(family: str) -> None:
    check_training(lambda: adapted(family))


@pytest.mark.parametrize("dropout", [0.0, 0.5])
@pytest.mark.parametrize("bias", [False, True])
def test_the_factors_get_their_gradients(dropout: float, bias: bool) -> None:
    model = adapted("phi" if bias else "llama", torch.float64, lora_dropout=dropout, lora_bias=bias)
    model.double()
    want, _ = check_same(model, **batch())
    _, got = step(model, **batch())
    factors = [name for name in got if "lm_head" in name]
    assert len(factors) == (3 if bias else 2)
    assert all(got[name].norm() > 1e-6 for name in factors)
    with model.disable_adapter():
        bare = model(**batch())
    assert bare.logits is None
    assert not bare.loss.isclose(want.loss)
    model.merge_adapter()
    if not dropout:
        torch.testing.assert_close(model(**batch()).loss, want.loss)
    unpatch(model)
    assert model(**batch()).logits is not None


def test_two_adapters_at_once_and_a_patch_before_them() -> None:
    peft = pytest.importorskip("peft")
    inner = patch(make("llama"))
    model = peft.get_peft_model(
        inner, peft.LoraConfig(r=2, target_modules=["lm_head"], init_lora_weights=False)
    )
    model.add_adapter(
        "other", peft.LoraConfig(r=3, lora_alpha=30, target_modules=["lm_head"], init_lora_weights=False)
    )
    model.base_model.set_adapter(["default", "other"])
    model.double()
    got, of_got = step(model, **batch())
    assert got.logits is None
    want, of_want = step(unpatch(model), **batch())
    torch.testing.assert_close(got.loss, want.loss)
    assert of_got.keys() == of_want.keys()
    assert len(of_got) == 4
    for name, grad in of_want.items():
        close(of_got[name], grad, name)


def test_a_bfloat16_head_does_not_round_its_adapter_away() -> None:
    model = adapted("llama", torch.bfloat16, target_modules=["lm_head"], lora_alpha=1e-3)
    exact = copy.deepcopy(model).double()
    _, want = step(exact, **batch())
    _, got = step(patch(model), **batch())
    for name, grad in want.items():
        assert got[name].double().sub(grad).norm() < 0.02 * grad.norm(), name


def test_a_head_that_is_trained_whole_beside_adapters() -> None:
    peft = pytest.importorskip("peft")
    config = peft.LoraConfig(r=2, target_modules=["q_proj"], modules_to_save=["lm_head"])
    model = peft.get_peft_model(make("llama"), config)
    model.double()
    _, got = check_same(model, **batch())
    assert got.logits is None
    assert "base_model.model.lm_head.modules_to_save.default.weight" in step(model, **batch())[1]
    with torch.no_grad():
        model.get_output_embeddings().original_module.weight.mul_(3)
    with model.disable_adapter():
        of_base = model(**batch()).loss
        torch.testing.assert_close(of_base, unpatch(model)(**batch()).loss)
    assert not of_base.isclose(got.loss)


class LowRank(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.down = nn.Parameter(torch.randn(2, width, dtype=torch.float64))
        self.up = nn.Parameter(torch.randn(V, 2, dtype=torch.float64))

    def forward(self, weight: Tensor) -> Tensor:
        return weight + 0.1 * self.up @ self.down


def test_an_adapter_by_hand_as_a_parametrization() -> None:
    model = make("llama")
    nn.utils.parametrize.register_parametrization(model.lm_head, "weight", LowRank(16))
    model.lm_head.parametrizations.weight.original.requires_grad_(False)
    check_same(model, **batch())
    _, got = step(model, **batch())
    assert {name for name in got if "lm_head" in name} == {
        "lm_head.parametrizations.weight.0.down",
        "lm_head.parametrizations.weight.0.up",
    }


# When logits are kept, and how a model is restored.


def test_logits_are_kept_wherever_they_are_needed() -> None:
    model, inputs = make("llama"), batch()
    tokens, labels = inputs["input_ids"], inputs["labels"]
    calls: list[dict[str, Any]] = [
        {"input_ids": tokens},
        {"input_ids": tokens, "labels": labels[:, -4:], "logits_to_keep": 4},
        {"input_ids": tokens, "labels": labels[:, [2, 5]], "logits_to_keep": torch.tensor([2, 5])},
    ]
    want = [model(**call) for call in calls]
    evaluated = model.eval()(**inputs)
    patch(model)
    for one, call in zip(want, calls, strict=True):
        torch.testing.assert_close(model.train()(**call).logits, one.logits, rtol=0, atol=0)
    torch.testing.assert_close(model.train()(**inputs, skip_logits=False).logits, evaluated.logits)
    got = model.eval()(**inputs)
    torch.testing.assert_close(got.logits, evaluated.logits, rtol=0, atol=0)
    torch.testing.assert_close(got.loss, evaluated.loss, rtol=0, atol=0)
    with torch.no_grad():
        for left_out in ({**inputs}, calls[1], calls[2]):
            skipped = model(**left_out, skip_logits=True)
            assert skipped.logits is None
            torch.testing.assert_close(skipped.loss, model(**left_out).loss)
    generated = model.generate(tokens[:1, :4], max_new_tokens=3, do_sample=False)
    assert torch.equal(generated, unpatch(model).generate(tokens[:1, :4], max_new_tokens=3, do_sample=False))


def test_skip_logits_for_every_call() -> None:
    model = patch(make("llama").eval(), skip_logits=True, chunk_tokens=5)
    assert model(**batch()).logits is None
    assert model(**batch(), skip_logits=False).logits is not None
    assert model(input_ids=batch()["input_ids"]).logits is not None
    model = patch(unpatch(model), skip_logits=False).train()
    assert model(**batch()).logits is not None
    assert model(**batch(), skip_logits=True).logits is None


def test_compact_is_handed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    rows: list[int] = []
    real = linear_chunks.logits_of

    def spy(x: Tensor, *rest: Any) -> Tensor:
        rows.append(x.shape[0])
        logits: Tensor = real(x, *rest)
        return logits

    monkeypatch.setattr(linear_chunks, "logits_of", spy)
    losses = []
    for compact in (True, False):
        model = patch(make("llama").eval(), skip_logits=True, compact=compact)
        losses.append(model(**batch()).loss)
    assert rows[0] < rows[1]
    torch.testing.assert_close(losses[0], losses[1])


def test_unpatch_restores_exactly() -> None:
    model = make("llama")
    before = {name: dict(vars(module)) for name, module in model.named_modules()}
    signature = inspect.signature(model.forward)
    assert patch(model) is model
    assert inspect.signature(model.forward) == signature
    assert model.state_dict().keys() == make("llama").state_dict().keys()
    model(**batch())
    with pytest.raises(IndexError, match="index out of range"):
        model(input_ids=torch.full((1, 3), V), labels=torch.zeros(1, 3, dtype=torch.long))
    assert unpatch(model) is model
    assert {name: dict(vars(module)) for name, module in model.named_modules()} == before


def test_unpatch_keeps_what_was_wrapped_around_the_forward() -> None:
    model, calls = make("llama"), []

    def wrapped(around: Callable[..., Any]) -> Callable[..., Any]:
        def forward(*args: Any, **kwargs: Any) -> Any:
            calls.append(around)
            return around(*args, **kwargs)

        return forward

    model.forward = first = wrapped(model.forward)
    patch(model)
    model.forward = second = wrapped(model.forward)
    assert model(**batch()).logits is None
    assert len(calls) == 2
    unpatch(model)
    assert model.forward is second
    assert model(**batch()).logits is not None
    assert len(calls) == 4
    model.forward = first
    unpatch(patch(model))
    assert model.forward is first


def test_a_copy_is_a_model_of_its_own() -> None:
    model = patch(make("llama"))
    copied = copy.deepcopy(model)
    with torch.no_grad():
        copied.lm_head.weight.mul_(5)
    assert not copied(**batch()).loss.isclose(model(**batch()).loss)
    unpatch(model)
    assert copied(**batch()).logits is None
    stored = io.BytesIO()
    torch.save(copied, stored)
    loaded = torch.load(io.BytesIO(stored.getvalue()), weights_only=False)
    assert loaded(**batch()).logits is not None
    with refused(OptionError, "not patched"):
        unpatch(loaded)
    assert patch(loaded)(**batch()).logits is None
    unpatch(copied)


SHARDED = """
import os, sys, torch, torch.distributed as dist
from torch.distributed.fsdp import fully_shard
from transformers import LlamaConfig, LlamaForCausalLM
from likelihead.errors import BackendError, OptionError
from likelihead.integrations.huggingface import patch, unpatch
from likelihead.kernels.fused import linear_chunks

dist.init_process_group("gloo", rank=0, world_size=1, store=dist.HashStore())
sizes = {"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2}
plain = LlamaForCausalLM(LlamaConfig(vocab_size=31, **sizes))
tokens = torch.randint(31, (2, 6))
plain(tokens, labels=tokens).loss.backward()

def fresh():
    model = LlamaForCausalLM(plain.config)
    model.load_state_dict(plain.state_dict())
    return model

def refused(error, call):
    try:
        call()
    except error as said:
        return str(said)
    raise AssertionError(f"no {error.__name__}")

sharded = patch(fresh())
fully_shard(sharded.model.layers[0])
fully_shard(sharded)
replicated = torch.nn.parallel.DistributedDataParallel(patch(fresh()))
for model in (sharded, replicated):
    outputs = model(tokens, labels=tokens)
    assert outputs.logits is None
    outputs.loss.backward()
    for parameter, other in zip(model.parameters(), plain.parameters(), strict=True):
        grad = getattr(parameter.grad, "full_tensor", lambda: parameter.grad)()
        torch.testing.assert_close(grad, other.grad)
assert unpatch(sharded)(tokens, labels=tokens).logits is not None
late = fresh()
fully_shard(late)
assert "before it is sharded" in refused(BackendError, lambda: patch(late))
assert "Pass the model that it wraps" in refused(OptionError, lambda: patch(replicated))
alone = patch(fresh())
fully_shard(alone.lm_head)
assert "FSDPLinear" in refused(BackendError, lambda: alone(tokens, labels=tokens))
print("done", flush=True)
os._exit(0)  # the threads of gloo may end in an abort
"""


@pytest.mark.skipif(not torch.distributed.is_available(), reason="this torch has no torch.distributed")
def test_sharded_and_replicated_models() -> None:
    done = subprocess.run([sys.executable, "-c", SHARDED], capture_output=True, text=True)
    assert done.stdout == "done\n", done.stderr


def test_compiled() -> None:
    model, inputs = make("llama", torch.float32, num_hidden_layers=1), batch()
    want, of_want = step(model, **inputs)
    operations, counted = [], []

    def backend(graph: torch.fx.GraphModule, examples: Any) -> Callable[..., Any]:
        operations.append(len(graph.graph.nodes))
        return graph.forward

    compiled = torch.compile(patch(model), backend=backend)
    with pytest.raises(OptionError, match="patch the model first"):
        patch(compiled)
    for _ in range(2):
        got, of_got = step(compiled, **inputs)
        assert got.logits is None
        torch.testing.assert_close(got.loss, want.loss)
        torch.testing.assert_close(of_got["_orig_mod.lm_head.weight"], of_want["lm_head.weight"])
        counted.append(len(operations))
    assert counted[0] == counted[1]  # no step is compiled again
    assert max(operations) > 30  # the layers in one graph


# What is refused.


@contextmanager
def refused(error: type[Exception], *words: str) -> Iterator[None]:
    with pytest.raises(error) as caught:
        yield
    for word in words:
        assert word in str(caught.value)


def test_a_model_that_cannot_be_patched() -> None:
    config = transformers.LlamaConfig(**ENCODER)
    with refused(OptionError, "LlamaModel", "no labels", "causal language model"):
        patch(transformers.LlamaModel(config))
    with refused(OptionError, "LlamaForSequenceClassification", "no output head"):
        patch(transformers.LlamaForSequenceClassification(config))
    with refused(OptionError, "Linear", "causal language model"):
        patch(nn.Linear(2, 2))
    with refused(OptionError, "a str", "causal language model"):
        patch("meta-llama/Llama-3.2-1B")  # type: ignore[type-var]
    model = make("llama")
    with refused(OptionError, "Sequential", "causal"):
        patch(nn.Sequential(model))
    with refused(OptionError, "not patched"):
        unpatch(model)
    patch(model)
    with refused(OptionError, "patched already", "unpatch(model)"):
        patch(model, skip_logits=True)
    assert model(**batch()).logits is None
    unpatch(model)
    with refused(OptionError, "not patched"):
        unpatch(model)
    with refused(OptionError, "chunk_tokens is 0"):
        patch(model, chunk_tokens=0)
    with refused(DTypeError, "compact is 1"):
        patch(model, compact=1)  # type: ignore[arg-type]
    with refused(DTypeError, "skip_logits"):
        patch(model, skip_logits="always")  # type: ignore[arg-type]
    assert "forward" not in vars(model)


class Quantised(nn.Linear):
    def forward(self, input: Tensor) -> Tensor:
        return super().forward(input).round()


class Tagged(Tensor):
    pass


def test_a_head_that_is_not_known() -> None:
    model = make("llama")
    whole = model.lm_head
    for head, why in [
        (Quantised(16, V, bias=False), "Quantised, not torch.nn.Linear"),
        (nn.Sequential(nn.Linear(16, V)), "Sequential, not torch.nn.Linear"),
    ]:
        model.lm_head = head
        with refused(BackendError, why, "parametrize"):
            patch(model)
    model.lm_head = nn.Linear(16, V, bias=False)
    model.lm_head.weight = nn.Parameter(whole.weight.detach().as_subclass(Tagged))
    with refused(BackendError, "its weight a"):
        patch(model)
    model.lm_head = copy.deepcopy(whole)
    model.lm_head.forward = whole.forward
    with refused(BackendError, "its forward was replaced"):
        patch(model)
    model.lm_head = whole
    patch(model)
    model.lm_head = Quantised(16, V, bias=False).double()
    with refused(BackendError, "not torch.nn.Linear"):
        model(**batch())
    assert model(**batch(), skip_logits=False).logits is not None


def test_an_adapter_that_is_more_than_two_factors() -> None:
    with refused(BackendError, "Dora"):
        patch(adapted(use_dora=True))


class Odd(transformers.LlamaForCausalLM):  # type: ignore[misc]
    use: Callable[[Tensor], Any] = staticmethod(lambda logits: logits)
    change: Callable[[Tensor], Any] = staticmethod(lambda logits: logits)

    def forward(self, input_ids: Tensor, labels: Tensor | None = None) -> dict[str, Any]:
        logits = self.lm_head(self.model(input_ids).last_hidden_state)
        self.use(logits)
        logits = self.change(logits)
        loss = None if labels is None else self.loss_function(logits, labels, self.vocab_size)
        return {"loss": loss, "logits": logits}


def odd(**functions: Callable[[Tensor], Any]) -> Any:
    model = Odd(transformers.LlamaConfig(**SIZES)).double()
    vars(model).update(functions)
    return model


@pytest.mark.parametrize(
    ("word", "use"),
    [
        ("logsumexp", lambda z: z.logsumexp(-1)),
        ("logsumexp", lambda z: torch.logsumexp(z, -1)),
        ("log_softmax", lambda z: torch.log_softmax(z, -1)),
        ("argmax", lambda z: z.argmax(-1)),
        ("detach", lambda z: z.detach()),
        ("entropy", lambda z: torch.distributions.Categorical(logits=z).entropy()),
    ],
)  # fmt: skip
def test_a_forward_that_reads_its_logits(word: str, use: Callable[[Tensor], Any]) -> None:
    model = patch(odd(use=use))
    with refused(BackendError, "" if word == "entropy" else word, "skip_logits=False"):
        model(**batch())
    assert "forward" not in vars(model.lm_head)
    assert model(**batch(), skip_logits=False)["logits"].shape[-1] == V


def test_a_forward_that_changes_its_logits() -> None:
    ones = torch.ones(V, dtype=torch.float64)

    def in_place(logits: Any) -> Any:
        logits *= 2
        return logits

    for change in (
        lambda z: z + 1,
        lambda z: 1 - z,
        lambda z: z + ones,
        lambda z: ones + z,
        lambda z: z * ones,
        lambda z: ones * z,
        lambda z: 1 / z,
        lambda z: z * 0,
        lambda z: z / float("inf"),
        lambda z: z * torch.tensor(2.0),
        lambda z: z[..., : V - 1],
        lambda z: z[:, :, 0],
        lambda z: z[..., None],
        lambda z: -z,
        lambda z: z.tanh().tanh(),
        lambda z: z.softmax(-1),
        lambda z: z.mT,
        lambda z: z.view(V, -1),
        lambda z: z.half(),
        lambda z: z.to(torch.bfloat16),
        lambda z: z.to("meta"),
        lambda z: z.to("cpu", dtype=torch.float32),
        lambda z: list(z),
        lambda z: torch.cat([z, z]),
        lambda z: z == z,
        lambda z: z != z,
        lambda z: z[0] if z else z,
        in_place,
    ):
        with refused(BackendError, "the model's forward uses"):
            patch(odd(change=change))(**batch())


def test_what_is_followed() -> None:
    mask = torch.rand(3, 12) < 0.7
    for change in (
        lambda z: 3 * z / 2,
        lambda z: (z / 0.05).tanh() * 0.05,
        lambda z: torch.tanh(0.7 * z / 0.3) * 0.2 / 0.9,
        lambda z: torch.mul(torch.div(z, 0.5), 2.5).contiguous().float(),
        lambda z: z[..., :, :].reshape(z.shape)[:, :],
        lambda z: z.view(-1, z.size(-1)).view(z.size(0), -1, V).to(z.device),
        lambda z: z.to(torch.float64).to(dtype=torch.float32).to(device="cpu"),
    ):
        model = odd(change=change)
        want, of_want = step(model, **batch())
        got, of_got = step(patch(model), **batch())
        torch.testing.assert_close(got["loss"], want["loss"])
        for name, grad in of_want.items():
            close(of_got[name], grad, name)
    for picked in (lambda z: z[mask], lambda z: z[:, 2:5], lambda z: z[1], lambda z: z[..., :-1, :]):

        def loss(logits: Any, labels: Tensor, vocabulary: int, picked: Any = picked) -> Tensor:
            on_labels = picked(labels[..., None])[..., 0]
            one = picked(logits)
            smooth = nn.CrossEntropyLoss(label_smoothing=0.1, weight=torch.linspace(1, 2, V).double())
            return smooth(one.reshape(-1, vocabulary), on_labels.reshape(-1))

        model = odd()
        model.loss_function = loss
        want, _ = step(model, **batch())
        got, _ = step(patch(model), **batch())
        torch.testing.assert_close(got["loss"], want["loss"])


def test_a_forward_without_a_loss_of_its_head() -> None:
    model = odd()
    model.loss_function = lambda logits, labels, vocabulary: None
    with refused(BackendError, "Odd was given labels", "no loss"):
        patch(model)(**batch())
    model = odd()
    other = nn.Linear(16, V).double()
    patch(model)
    model.get_output_embeddings = lambda: other
    with refused(BackendError, "something else than its output head"):
        model(**batch())
    model = odd()
    model.loss_function = lambda logits, labels, vocabulary: nn.functional.cross_entropy(
        logits.view(3, V, -1), labels
    )
    with refused(BackendError, "view"):
        patch(model)(**batch())
    model = odd()
    model.loss_function = lambda logits, labels, vocabulary: nn.functional.cross_entropy(logits, labels)
    with refused(BackendError, "classes along dimension 1"):
        patch(model)(**batch())


# The Trainer.


def trained(tmp_path: Any, model: Any, **more: Any) -> tuple[Any, list[float]]:
    pytest.importorskip("accelerate")
    rows = [batch(1, 5 + seed % 4, 1 + seed % 6) for seed in range(24)]
    data = [{name: row[0] for name, row in each.items()} for each in rows]

    def collate(examples: list[dict[str, Tensor]]) -> dict[str, Tensor]:
        padded = {"input_ids": 0, "labels": -100}
        return {
            name: nn.utils.rnn.pad_sequence(
                [e[name] for e in examples], batch_first=True, padding_value=value
            )
            for name, value in padded.items()
        }

    arguments = {
        "output_dir": str(tmp_path),
        "per_device_train_batch_size": 2,
        "gradient_accumulation_steps": 3,
        "num_train_epochs": 2,
        "learning_rate": 3e-3,
        "logging_steps": 1,
        "report_to": [],
        "save_strategy": "no",
        "use_cpu": True,
        "disable_tqdm": True,
        **more,
    }
    trainer = transformers.Trainer(
        model=model,
        args=transformers.TrainingArguments(**arguments),
        train_dataset=data,
        eval_dataset=data[:4],
        data_collator=collate,
    )
    trainer.train()
    return trainer, [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]


@pytest.mark.parametrize("more", [{}, {"bf16": True}], ids=str)
def test_the_trainer(tmp_path: Any, more: dict[str, Any]) -> None:
    _, want = trained(tmp_path, make("llama", torch.float32), **more)
    model = patch(make("llama", torch.float32))
    trainer, got = trained(tmp_path, model, **more)
    assert trainer.model_accepts_loss_kwargs
    assert len(got) == 8
    assert got == pytest.approx(want, abs=2e-2 if more else 1e-4)
    assert trainer.evaluate()["eval_loss"] == pytest.approx(want[-1], abs=1)
    assert trainer.predict(trainer.eval_dataset).predictions.shape[-1] == V
    unpatch(model)
    assert model(**batch()).logits is not None
