"""A real Chromium without a window, driven over a pair of pipes by its DevTools protocol."""

import base64
import itertools
import json
import os
import select
import shutil
import subprocess
import time

CHROMIUM = next((path for path in map(shutil.which, ("chromium", "google-chrome")) if path), None)
_FLAGS = (
    *("--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--remote-debugging-pipe"),
    *("--no-first-run", "--disable-extensions", "--disable-background-networking", "--disable-dev-shm-usage"),
    *("--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"),  # a webcam that shows a test pattern
)
_TIMEOUT_S = 60


class Browser:
    """A page in a browser of its own.

    Args:
        folder: Folder for the browser's files; downloads are in its subfolder ``downloads``.
        size_wh: Width and height of the page in pixels.
    """

    def __init__(self, folder, size_wh=(1280, 900)):
        self.downloads = folder / "downloads"
        self.downloads.mkdir()
        commands, self._commands = os.pipe()
        self._answers, answers = os.pipe()
        # Chromium reads file descriptor 3 and writes 4.
        start = f'exec "$@" 3<&{commands} 4>&{answers}'
        program = [
            CHROMIUM,
            *_FLAGS,
            f"--user-data-dir={folder / 'profile'}",
            f"--window-size={size_wh[0]},{size_wh[1]}",
        ]
        self._process = subprocess.Popen(
            ["bash", "-c", start, "bash", *program], pass_fds=(commands, answers), stderr=subprocess.DEVNULL
        )
        os.close(commands)
        os.close(answers)
        self._waiting = select.poll()  # select() takes no file descriptors above 1,023
        self._waiting.register(self._answers, select.POLLIN)
        self._numbers, self._rest, self.events, self._session = itertools.count(1), b"", [], {}
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        self._session = {"sessionId": session}
        self.call("Page.enable")
        self.call("Runtime.enable")
        self.call("Log.enable")
        self.call("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(self.downloads))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        os.close(self._commands)
        os.close(self._answers)
        self._process.terminate()
        self._process.wait(30)

    def call(self, method, **parameters):
        """Send a command and return its result; events that come meanwhile are kept in ``events``."""
        number = next(self._numbers)
        message = {"id": number, "method": method, "params": parameters, **self._session}
        os.write(self._commands, json.dumps(message).encode() + b"\0")
        while (answer := self._read()).get("id") != number:
            self.events.append(answer)
        assert "error" not in answer, (method, answer["error"])
        return answer["result"]

    def _read(self):
        while b"\0" not in self._rest:
            assert self._waiting.poll(_TIMEOUT_S * 1000), "the browser does not answer"
            chunk = os.read(self._answers, 1 << 20)
            assert chunk, "the browser has ended"
            self._rest += chunk
        message, _, self._rest = self._rest.partition(b"\0")
        return json.loads(message)

    def evaluate(self, expression, **options):
        """Return the value of an expression of the page's, which may be a promise."""
        result = self.call("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True, **options)
        assert "exceptionDetails" not in result, result["exceptionDetails"]
        return result["result"].get("value")

    def wait_for(self, expression):
        """Return the value of an expression when it is true."""
        end = time.monotonic() + _TIMEOUT_S
        while not (value := self.evaluate(expression)):
            assert time.monotonic() < end, f"still not true: {expression}"
            time.sleep(0.05)
        return value

    def open(self, address):
        self.call("Page.navigate", url=address)
        self.wait_for(f"document.readyState === 'complete' && location.href.startsWith({json.dumps(address)})")

    def drop(self, *files, at=(300, 300)):
        """Let files fall on the page."""
        data = {"items": [], "files": [str(file) for file in files], "dragOperationsMask": 1}
        for kind in ("dragEnter", "dragOver", "drop"):
            self.call("Input.dispatchDragEvent", type=kind, x=at[0], y=at[1], data=data)

    def choose(self, *files):
        """Press the page's own button, and answer the chooser that it opens as a person would."""
        self.call("Page.setInterceptFileChooserDialog", enabled=True)
        self.evaluate("document.getElementById('choose').click()", userGesture=True)
        chooser = self.wait_for_event("Page.fileChooserOpened")
        self.call("DOM.setFileInputFiles", files=[str(file) for file in files], backendNodeId=chooser["backendNodeId"])

    def paste_picture(self, width, height):
        """Copy a green picture of some size to the clipboard, and press Ctrl-V."""
        self.call("Browser.grantPermissions", permissions=["clipboardReadWrite", "clipboardSanitizedWrite"])
        self.evaluate(
            f"""(async () => {{
              const canvas = Object.assign(document.createElement("canvas"), {{ width: {width}, height: {height} }});
              const context = canvas.getContext("2d");
              context.fillStyle = "#00ff00";
              context.fillRect(0, 0, {width}, {height});
              const picture = await new Promise((resolve) => canvas.toBlob(resolve, "image/png"));
              await navigator.clipboard.write([new ClipboardItem({{ "image/png": picture }})]);
            }})()""",
            userGesture=True,
        )
        key = {"key": "v", "code": "KeyV", "windowsVirtualKeyCode": 86, "modifiers": 2}
        self.call("Input.dispatchKeyEvent", type="keyDown", commands=["paste"], **key)
        self.call("Input.dispatchKeyEvent", type="keyUp", **key)

    def become_phone(self, width=390, height=844):
        """Have the screen, the finger and the missing mouse of a phone from now on."""
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=2, mobile=True)
        self.call("Emulation.setTouchEmulationEnabled", enabled=True)

    def wait_for_event(self, method):
        """Return the parameters of the next event of a kind, which is forgotten then."""
        end = time.monotonic() + _TIMEOUT_S
        while True:
            for index, event in enumerate(self.events):
                if event["method"] == method:
                    return self.events.pop(index)["params"]
            assert time.monotonic() < end, f"{method} does not come"
            self.evaluate("1")
            time.sleep(0.05)

    def press(self, key, code=0, text=None):
        options = {"key": key, "code": key, "windowsVirtualKeyCode": code} | ({"text": text} if text else {})
        self.call("Input.dispatchKeyEvent", type="keyDown", **options)
        self.call("Input.dispatchKeyEvent", type="keyUp", **options)

    def wait_for_download(self, name):
        """Return the path of a file when all of it has come."""
        end = time.monotonic() + _TIMEOUT_S
        while not (self.downloads / name).is_file():
            assert time.monotonic() < end, f"{name} does not come"
            time.sleep(0.05)
        return self.downloads / name

    def take_picture(self, file):
        file.write_bytes(base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"]))

    def list_complaints(self):
        """Return what the page's console holds of errors and warnings, such as of blocked scripts."""
        self.evaluate("1")
        logged = [event["params"]["entry"] for event in self.events if event["method"] == "Log.entryAdded"]
        thrown = [event["params"] for event in self.events if event["method"] == "Runtime.exceptionThrown"]
        return [entry for entry in logged if entry["level"] in ("error", "warning")] + thrown
