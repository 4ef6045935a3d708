import io
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pyarrow as pa
import pyarrow.parquet
import pytest

from frostline.data.targets import Targets
from frostline.errors import DataError, DecodeError


@pytest.fixture
def folder(tmp_path):
    for name in ("a/2.png", "a/10.jpg", "a/.hidden.png", "a/.cache/1.png", "a/notes.txt", "b/1.png", "b[1].png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(name.encode())
    return tmp_path


def paths(*words):
    return [picture.path for picture in Targets.find(map(str, words)).pictures]


def test_files_and_folders_in_the_order_given(folder):
    found = paths(folder / "b" / "1.png", folder / "a")
    assert found == [str(folder / name) for name in ("b/1.png", "a/2.png", "a/10.jpg")]


def test_a_file_is_taken_whatever_its_name(folder):
    assert paths(folder / "a" / "notes.txt", folder / "b[1].png") == [
        str(folder / "a/notes.txt"),
        str(folder / "b[1].png"),
    ]


def test_patterns(folder):
    assert paths(folder / "*" / "*.png") == [str(folder / "a/2.png"), str(folder / "b/1.png")]
    assert paths(folder / "[ab]") == [str(folder / "a/2.png"), str(folder / "a/10.jpg"), str(folder / "b/1.png")]
    assert paths(folder / "**" / "1*.[jp]*g") == [str(folder / "a/10.jpg"), str(folder / "b/1.png")]


def test_lists_with_paths_relative_to_them(folder):
    (folder / "list.csv").write_text("label,path\nx,a/2.png\ny,b/1.png\nz,\n", encoding="utf-8")
    table = pa.table({"path": ["a/10.jpg", str(folder / "b/1.png")]})
    pyarrow.parquet.write_table(table, folder / "list.parquet")
    assert paths(folder / "list.csv") == [str(folder / "a/2.png"), str(folder / "b/1.png")]
    assert paths(folder / "list.parquet") == [str(folder / "a/10.jpg"), str(folder / "b/1.png")]


def test_standard_input(monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO("one.png\n\n two words.png\r\nhttp://127.0.0.1/x.png\n"))
    assert paths("-") == ["one.png", " two words.png", "http://127.0.0.1/x.png"]


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("none.png", "no file or folder"),
        ("empty", "no picture in"),
        ("*.webp", "no file matches"),
        ("other.csv", "lacks the column path"),
        ("broken.parquet", "cannot be read"),
    ],
)
def test_what_is_not_there_is_told(folder, word, message):
    (folder / "empty").mkdir()
    (folder / "other.csv").write_text("file\na.png\n", encoding="utf-8")
    (folder / "broken.parquet").write_bytes(b"PAR1")
    with pytest.raises(DataError, match=message):
        paths(folder / word)


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path == "/moved":
            self.send_response(302)
            self.send_header("Location", self.server.target)
            self.end_headers()
            return
        self.send_response(200 if self.path == "/good.png" else 404)
        self.end_headers()
        self.wfile.write(b"picture" * (10 if self.path == "/good.png" else 0))

    def log_message(self, *_):
        pass


@pytest.fixture
def server():
    started = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=started.serve_forever)
    thread.start()
    started.address = f"http://127.0.0.1:{started.server_address[1]}"
    yield started
    started.shutdown()
    thread.join()
    started.server_close()


def test_addresses_are_fetched_when_they_are_read(server, monkeypatch):
    targets = Targets.find([f"{server.address}/good.png", f"{server.address}/none.png"])
    assert targets.read(0) == b"picture" * 10
    with pytest.raises(DecodeError, match="cannot be fetched: Not Found"):
        targets.read(1)
    monkeypatch.setattr("frostline.data.targets.MOST_BYTES", 69)
    with pytest.raises(DecodeError, match="more than"):
        targets.read(0)


def test_a_server_leads_to_other_servers_but_not_to_files(server, tmp_path):
    moved = Targets.find([f"{server.address}/moved"])
    server.target = f"{server.address}/good.png"
    assert moved.read(0) == b"picture" * 10
    (tmp_path / "secret").write_bytes(b"secret")
    server.target = f"file://{tmp_path}/secret"
    with pytest.raises(DecodeError, match="cannot be fetched"):
        moved.read(0)


def test_nobody_answers():
    with pytest.raises(DecodeError, match="cannot be fetched"):
        Targets.find(["http://127.0.0.1:9/x.png"]).read(0)
