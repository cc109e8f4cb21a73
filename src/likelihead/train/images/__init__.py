"""Images: masks to learn pixel by pixel, or a class or several labels for each image."""

from __future__ import annotations

from likelihead.train.images.begin import again, begin
from likelihead.train.images.evaluate import evaluate
from likelihead.train.images.predict import predict
from likelihead.train.images.problem import ImageProblem

__all__ = ["ImageProblem", "again", "begin", "evaluate", "predict"]
