from types import FrameType

from gunicorn.config import Config

class ThreadWorker:
    cfg: Config
    wsgi: object
    def init_process(self) -> None: ...
    def handle_exit(self, sig: int, frame: FrameType | None) -> None: ...
    def handle_quit(self, sig: int, frame: FrameType | None) -> None: ...
