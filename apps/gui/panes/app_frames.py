"""Pages of MCP servers as documents of frames that reach nothing.

A page comes as a document of its own, since only headers can take from it what a policy in the page
cannot: `Connection-Allowlist` ends the ways that a Content-Security-Policy leaves open in Chromium
(look-ups of names, connections made in advance for a link or a navigation, WebRTC in a frame inside
the frame). Browsers that do not know it keep to the rest. The file is written by a tool's call and
lies where tools can write, so what fences it in is added here and not kept in it.
"""

from __future__ import annotations

import re
from pathlib import Path

from starlette.responses import JSONResponse, Response

from qwenbelt.core.jsons import loads_bounded
from qwenbelt.tools.mcp.apps import ENDING

_LARGEST = 16 * 1024 * 1024
_POLICY = (
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; "
    "img-src data: blob:; font-src data:; media-src data: blob:; form-action 'none'; "
    "base-uri 'none'; frame-src 'none'; worker-src 'none'; object-src 'none'; webrtc 'block'; "
    "require-trusted-types-for 'script'; trusted-types default"
)
_OFF = (
    "accelerometer", "autoplay", "bluetooth", "camera", "clipboard-read", "clipboard-write",
    "display-capture", "encrypted-media", "fullscreen", "gamepad", "geolocation", "gyroscope",
    "hid", "identity-credentials-get", "idle-detection", "local-fonts", "local-network-access",
    "magnetometer", "microphone", "midi", "payment", "picture-in-picture",
    "publickey-credentials-get", "screen-wake-lock", "serial", "storage-access", "sync-xhr",
    "usb", "web-share", "window-management", "xr-spatial-tracking", "attribution-reporting",
    "browsing-topics", "private-state-token-issuance", "join-ad-interest-group", "run-ad-auction",
)  # fmt: skip
_HEADERS = {
    "content-security-policy": f"sandbox allow-scripts; frame-ancestors 'self'; {_POLICY}",
    "connection-allowlist": "()",
    "permissions-policy": ", ".join(f"{name}=()" for name in _OFF),
    "x-frame-options": "SAMEORIGIN",
    "x-dns-prefetch-control": "off",
    "referrer-policy": "no-referrer",
    "cache-control": "no-store",
}
# once more in the page, before all that the server says: for who takes its text out of here
_FENCE = (
    f'<!doctype html><meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
    '<meta http-equiv="x-dns-prefetch-control" content="off"><script>%s</script>'
)
# No frames in the frame: Chromium 156 ends the whole tab when one of them uses WebRTC, although
# nothing gets out. Their names are changed in the page, in all that is read as HTML later (by the
# only policy of Trusted Types) and refused where elements are made by name.
_FRAMES = r"<(/?)(?=(?:[^\s<>/\"'=]*:)?(?:iframe|frame|frameset|object|embed|fencedframe)(?![\w-]))"
_SHADOW = "shadowrootmode"  # frames in closed trees
_NO_FRAMES = """
(() => {
  for (const name of ["RTCPeerConnection", "webkitRTCPeerConnection", "WebTransport",
    "XSLTProcessor"]) delete window[name];
  const { apply } = Reflect, exec = RegExp.prototype.exec, put = Object.defineProperty;
  const replace = RegExp.prototype[Symbol.replace];
  const own = (source) => {  // its own, so that nobody changes what it does
    const made = new RegExp(source, "gi");
    put(made, "exec", { value: exec });
    put(made, "flags", { value: "gi" });
    return made;
  };
  const frames = own(String.raw`FRAMES`), shadow = own("SHADOW|<!ENTITY");
  const plain = (text) => apply(replace, shadow, [apply(replace, frames, [text, "<$1x-"]), "x-"]);
  window.trustedTypes?.createPolicy("default", {
    createHTML: plain, createScript: (text) => text, createScriptURL: (text) => text,
  });
  const wrong = /(?:^|:)(?:iframe|frame|frameset|object|embed|fencedframe)$/i;
  const guard = (proto, name, place) => {
    const made = proto[name];
    put(proto, name, { value(...given) {
      given[place] = `${given[place]}`;
      if (apply(exec, wrong, [given[place]])) throw new TypeError("No frames here");
      return apply(made, this, given);
    } });
  };
  guard(Document.prototype, "createElement", 0);
  guard(Document.prototype, "createElementNS", 1);
  guard(DOMImplementation.prototype, "createDocument", 1);
  const define = CustomElementRegistry.prototype.define;
  put(CustomElementRegistry.prototype, "define", { value(name, made) {
    return apply(define, this, [name, made]);  // none that extends a frame
  } });
  const attach = Element.prototype.attachShadow;
  put(Element.prototype, "attachShadow", { value({ mode, delegatesFocus = false }) {
    return apply(attach, this, [{ mode, delegatesFocus }]);
  } });
  for (const name of ["setHTML", "setHTMLUnsafe"]) {
    delete Element.prototype[name]; delete ShadowRoot.prototype[name];
  }
})();
""".replace("FRAMES", _FRAMES).replace("SHADOW", _SHADOW)


def app_document(path: Path | None) -> Response:
    """Returns the page of a call, behind its fence."""
    html = None
    if path is not None and path.name.endswith(ENDING) and path.stat().st_size <= _LARGEST:
        try:
            kept = loads_bounded(path.read_text(encoding="utf-8"), max_bytes=_LARGEST)
            html = kept.get("html") if isinstance(kept, dict) else None
        except (OSError, ValueError):
            html = None
    if not isinstance(html, str):
        return JSONResponse({"error": "There is no such page."}, 404)
    html = re.sub(_FRAMES, r"<\1x-", html, flags=re.IGNORECASE)
    html = re.sub(_SHADOW, "x-", html, flags=re.IGNORECASE)
    text = (_FENCE % _NO_FRAMES + html).encode("utf-8", "replace")
    return Response(text, media_type="text/html; charset=utf-8", headers=_HEADERS)
