# case: Keras 3 on torch: Dense layers without an activation, losses by string or default (from_logits=False)
import os

os.environ["KERAS_BACKEND"] = "torch"

import keras
from keras import layers, ops


class Residual(layers.Layer):
    def __init__(self, units, **kwargs):
        super().__init__(**kwargs)
        self.norm = layers.LayerNormalization()
        self.dense = layers.Dense(units, activation="gelu")

    def call(self, x):
        return ops.add(x, self.dense(self.norm(x)))


def build_body(inputs, width=128, depth=3):
    x = layers.Dense(width)(inputs)
    for _ in range(depth):
        x = Residual(width)(x)
    return layers.LayerNormalization()(x)


def build_multiclass(n_features, n_classes):
    inputs = keras.Input((n_features,))
    outputs = layers.Dense(n_classes)(build_body(inputs))
    model = keras.Model(inputs, outputs, name="multiclass")
    model.compile(optimizer="adam", loss="sparse_categorical_crossentropy")  # expect: LH105
    return model


def build_binary(n_features):
    model = keras.Sequential(name="binary")
    model.add(keras.Input((n_features,)))
    model.add(layers.Dense(64, activation="relu"))
    model.add(layers.Dense(1))
    bce = keras.losses.BinaryCrossentropy()
    model.compile(optimizer=keras.optimizers.SGD(0.01, momentum=0.9), loss=bce)  # expect: LH108
    return model


def fit(model, x, y):
    stop = keras.callbacks.EarlyStopping(patience=5, restore_best_weights=True)
    return model.fit(x, y, epochs=100, validation_split=0.2, callbacks=[stop], verbose=2)
