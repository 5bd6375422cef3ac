"""Progress for people: lines on every console, the login screen's notice, and /run/appliance/status.json for programs."""
import datetime
import json
import os
import pathlib


class Report:
    def __init__(self, root="/", consoles=None):
        self.folder = pathlib.Path(root) / "run/appliance"
        self.issue = pathlib.Path(root) / "run/issue.d/appliance.issue"
        self.consoles = consoles if consoles is not None else _consoles()
        self.state = {"state": "starting", "step": "", "number": 0, "steps": 0, "message": "", "next": "", "release": ""}
        self._said = None

    def update(self, **changes):
        """New facts; a line on the consoles when it would be another one than the last."""
        before = dict(self.state)
        self.state.update(changes)
        if self.state != before:
            self.state["since"] = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
            self._write()
        line = self.line()
        if line != self._said:
            self._said = line
            self.say(line)
            if self.state["next"]:
                self.say(f"           next: {self.state['next']}")

    def line(self):
        state = self.state
        place = f" [{state['number']}/{state['steps']}]" if state["number"] else ""
        return f"appliance: {state['state']}{place}: {state['message']}"

    def say(self, text):
        for console in self.consoles:
            try:
                with open(console, "w", encoding="utf-8", errors="replace") as file:
                    file.write(f"\r{text}\r\n")
            except OSError:
                pass  # a console that is not connected
        print(text, flush=True)  # for the journal

    def _write(self):
        self.folder.mkdir(parents=True, exist_ok=True)
        self.issue.parent.mkdir(parents=True, exist_ok=True)
        for path, text in ((self.folder / "status.json", json.dumps(self.state) + "\n"),
                           (self.issue, f"\n{self.line()}\n" + (f"  next: {self.state['next']}\n" if self.state["next"] else "")
                            + "\n")):
            partial = path.with_name(f".{path.name}.new")
            partial.write_text(text)
            os.replace(partial, path)


def _consoles():
    try:
        names = pathlib.Path("/sys/class/tty/console/active").read_text().split()
    except OSError:
        return []
    return [f"/dev/{name}" for name in names]
