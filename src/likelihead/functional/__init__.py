"""`torch.nn.functional`'s losses with torch's signatures and answers, kept accurate and watched by the guard.

What they add is keyword-only: ``normalizer=`` and ``sample_weight=`` everywhere, ``z_loss=``, ``softcap=``,
``logit_offset=`` and ``where=`` for `cross_entropy`, ``label_smoothing=`` and ``prior=`` for the binary
losses. No drop-ins, since torch has none, are `language_model_loss`, which takes `[B, T, V]` logits as they
are, the focal losses, and the losses of overlapping regions, `dice_loss` and the others. Of a linear head, in
chunks and without its logits, are `linear_cross_entropy`, which torch has, and `linear_log_probs`,
`linear_predict`, `linear_kl` and `linear_kl_topk`, which it has not.
"""

from likelihead.functional.binary_cross_entropy import binary_cross_entropy, binary_cross_entropy_with_logits
from likelihead.functional.cross_entropy import cross_entropy
from likelihead.functional.focal_loss import binary_focal_loss, focal_loss
from likelihead.functional.gaussian_nll_loss import gaussian_nll_loss
from likelihead.functional.language_model_loss import language_model_loss
from likelihead.functional.linear_cross_entropy import linear_cross_entropy
from likelihead.functional.linear_kl import linear_kl
from likelihead.functional.linear_kl_topk import linear_kl_topk
from likelihead.functional.linear_log_probs import TokenLogProbs, linear_log_probs
from likelihead.functional.linear_predict import linear_predict
from likelihead.functional.mse_loss import mse_loss
from likelihead.functional.multilabel_soft_margin_loss import multilabel_soft_margin_loss
from likelihead.functional.nll_loss import nll_loss
from likelihead.functional.overlap import (
    dice_loss,
    focal_tversky_loss,
    jaccard_loss,
    lovasz_loss,
    tversky_loss,
)

__all__ = [
    "TokenLogProbs",
    "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
    "binary_focal_loss",
    "cross_entropy",
    "dice_loss",
    "focal_loss",
    "focal_tversky_loss",
    "gaussian_nll_loss",
    "jaccard_loss",
    "language_model_loss",
    "linear_cross_entropy",
    "linear_kl",
    "linear_kl_topk",
    "linear_log_probs",
    "linear_predict",
    "lovasz_loss",
    "mse_loss",
    "multilabel_soft_margin_loss",
    "nll_loss",
    "tversky_loss",
]
