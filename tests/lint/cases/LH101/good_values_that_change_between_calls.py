"""A function that is called again may return something else: what it is given or sees has changed."""

import torch.nn as nn
import torch.nn.functional as F

net = nn.Linear(3, 4)
last = F.softmax(net(1), 1)


def first(held):
    return held[0]


def look(held):
    return held["a"]


def fresh_lists(x, y):
    first([F.softmax(net(x), 1)])
    first({0: F.softmax(net(x), 1)})
    return F.cross_entropy(first([net(x)]), y) + F.cross_entropy(first({0: net(x)}), y)


def entries_that_are_set(x, y):
    held = [F.softmax(net(x), 1)]
    first(held)
    held[0] = net(x)
    named = {"a": F.softmax(net(x), 1)}
    look(named)
    named["a"] = net(x)
    return F.cross_entropy(first(held), y) + F.cross_entropy(look(named), y)


def a_name_around(x, y):
    p = F.softmax(net(x), 1)

    def inner():
        return p

    inner()
    p = net(x)
    return F.cross_entropy(inner(), y)


def a_name_around_in_a_branch(x, y, certain):
    p = net(x)

    def inner():
        return p

    if certain:
        p = F.softmax(net(x), 1)
        return inner()
    return F.cross_entropy(inner(), y)


def get():
    return last


get()
last = net(1)
F.cross_entropy(get(), 1)


def set_last(x, y):
    global last
    last = F.softmax(net(x), 1)
    get()
    last = net(x)
    return F.cross_entropy(get(), y)


set_last(1, 2)


def entries_that_go(x, y):
    held = [F.softmax(net(x), 1), net(x)]
    first(held)
    del held[0]
    turned = [F.softmax(net(x), 1), net(x)]
    turned.reverse()
    named = {"a": F.softmax(net(x), 1)}
    look(named)
    named.pop("a")
    named.setdefault("a", net(x))
    cleared = {"a": F.softmax(net(x), 1)}
    cleared.clear()
    cleared.setdefault("a", net(x))
    return sum(
        (
            F.cross_entropy(first(held), y),
            F.cross_entropy(first(turned), y),
            F.cross_entropy(look(named), y),
            F.cross_entropy(cleared["a"], y),
        )
    )


def updates(x, y, more):
    one = {"a": F.softmax(net(x), 1)}
    one.update(a=net(x))
    other = {"a": F.softmax(net(x), 1)}
    other.update([("a", net(x))])
    third = {"a": F.softmax(net(x), 1)}
    third.update(more)
    return F.cross_entropy(one["a"], y) + F.cross_entropy(other["a"], y) + F.cross_entropy(third["a"], y)
