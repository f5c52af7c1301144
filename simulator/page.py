"""The page that shows what arrived on each simulated phone."""

from html import escape
from itertools import groupby
from time import localtime, strftime

from simulator.state import Message, State

_STYLE = """
body { font: 15px system-ui, sans-serif; background: #e9e5df; margin: 2rem; }
main { display: flex; flex-wrap: wrap; gap: 1.5rem; }
section { width: 20rem; background: #efeae2; border: 6px solid #222; border-radius: 1.6rem;
  padding: 1rem; box-shadow: 0 4px 14px #0003; }
h1 { font-size: 1.2rem } h2 { font-size: 1rem; margin: 0 0 .8rem; color: #075e54 }
p { background: #fff; border-radius: .7rem; padding: .5rem .7rem; margin: .4rem 0;
  white-space: pre-wrap; overflow-wrap: anywhere }
small { display: block; color: #777; margin-top: .2rem }
"""


def page(state: State) -> str:
    """Return the phones as HTML that reloads every two seconds."""
    by_phone = groupby(sorted(state.inbox, key=lambda m: (m.phone, m.number)), lambda m: m.phone)
    phones = "".join(
        f"<section><h2>{escape(phone)}</h2>{''.join(map(_bubble, messages))}</section>"
        for phone, messages in by_phone
    )
    return (
        "<!doctype html><html lang=en><meta charset=utf-8><meta http-equiv=refresh content=2>"
        f"<title>Simulated phones</title><style>{_STYLE}</style><h1>Simulated phones</h1>"
        f"<main>{phones or 'Nothing has arrived yet.'}</main></html>"
    )


def _bubble(message: Message) -> str:
    text = f"[{message.type}] {message.url}" if message.kind == "file" else message.text
    time = strftime("%H:%M:%S", localtime(message.at))
    return f"<p>{escape(text)}<small>{escape(message.kind)} · {time}</small></p>"
