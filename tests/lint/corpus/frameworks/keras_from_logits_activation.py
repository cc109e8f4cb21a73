# case: Keras 3 on torch: from_logits=True on layers that end in a softmax and in a sigmoid
import os

os.environ["KERAS_BACKEND"] = "torch"

import keras
import numpy as np
import torch
from keras import layers


def digits_model(num_classes=10):
    return keras.Sequential(
        [
            keras.Input(shape=(28, 28, 1)),
            layers.Conv2D(32, kernel_size=3, activation="relu"),
            layers.MaxPooling2D(pool_size=2),
            layers.Flatten(),
            layers.Dropout(0.5),
            layers.Dense(num_classes, activation="softmax"),
        ]
    )


def spam_model(vocab=20000, dim=64):
    inputs = keras.Input(shape=(None,), dtype="int64")
    x = layers.Embedding(vocab, dim)(inputs)
    x = layers.GlobalAveragePooling1D()(x)
    x = layers.Dense(32, activation="relu")(x)
    outputs = layers.Dense(1, activation="sigmoid")(x)
    return keras.Model(inputs, outputs)


def train_digits(epochs=3):
    (x_train, y_train), _ = keras.datasets.mnist.load_data()
    x_train = np.expand_dims(x_train.astype("float32") / 255, -1)
    model = digits_model()
    model.compile(  # expect: LH101
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        optimizer=keras.optimizers.Adam(1e-3),
        metrics=[keras.metrics.SparseCategoricalAccuracy(name="acc")],
    )
    model.fit(x_train, y_train, batch_size=128, epochs=epochs, validation_split=0.15)
    return model


def train_spam(loader, epochs=2):
    """A loop of one's own, with torch's optimizer."""
    model = spam_model()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    loss_fn = keras.losses.BinaryCrossentropy(from_logits=True)
    for _ in range(epochs):
        for tokens, label in loader:
            is_spam = model(tokens)
            loss = loss_fn(label, is_spam)  # expect: LH106
            model.zero_grad()
            loss.backward()
            optimizer.step()
    return model


if __name__ == "__main__":
    train_digits()
