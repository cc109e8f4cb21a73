# case: Keras 3 on torch: each last activation with the loss that it fits, by string, default and from_logits
import os

os.environ["KERAS_BACKEND"] = "torch"

import keras
import torch
from keras import layers


def cnn(num_classes, last):
    return keras.Sequential(
        [
            keras.Input(shape=(32, 32, 3)),
            layers.Rescaling(1.0 / 255),
            layers.Conv2D(32, 3, activation="relu"),
            layers.GlobalAveragePooling2D(),
            layers.Dense(num_classes, activation=last),
        ]
    )


def probabilities():
    model = cnn(10, "softmax")
    model.compile("adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def one_hot_probabilities():
    model = cnn(10, "softmax")
    model.compile("adam", loss=keras.losses.CategoricalCrossentropy(label_smoothing=0.1))
    return model


def logits():
    model = cnn(10, None)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("adam", loss=loss, metrics=["accuracy"])
    # for use alone: the same weights, closed with a softmax that is never trained
    serving = keras.Sequential([model, layers.Softmax()])
    return model, serving


def binary():
    model = keras.Sequential([keras.Input((30,)), layers.Dense(16, activation="relu"), layers.Dense(1)])
    model.compile("rmsprop", loss=keras.losses.BinaryCrossentropy(from_logits=True))
    return model


def binary_probability():
    model = keras.Sequential([keras.Input((30,)), layers.Dense(1, activation="sigmoid")])
    model.compile("rmsprop", loss="binary_crossentropy", metrics=[keras.metrics.AUC()])  # allow: LH109
    return model


@torch.no_grad()
def predict_binary(model, x):
    return torch.sigmoid(model(x)) > 0.5
