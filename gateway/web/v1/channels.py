"""Channels as v1 names them."""

from __future__ import annotations

from gateway.carrier import Carrier
from gateway.messages import Channel
from gateway.web.v1.types import ChannelName


def channels_of(carrier: Carrier) -> list[ChannelName]:
    """Return what a carrier's numbers can carry."""
    texts, calls = carrier.channels & {Channel.SMS, Channel.MMS}, carrier.channels & {Channel.VOICE}
    return channel_names(texts=bool(texts), calls=bool(calls))


def channel_names(*, texts: bool, calls: bool) -> list[ChannelName]:
    """Return the names of the channels that are open."""
    open_: list[ChannelName] = ["text"] if texts else []
    return [*open_, "voice"] if calls else open_
