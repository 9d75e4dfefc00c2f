"""Files that appear whole or not at all."""
import pytest

from mim_plugins.files import write_whole


def test_replaces_a_file(tmp_path):
    path = tmp_path / 'a.txt'
    path.write_text('old')
    seen = []
    write_whole(path, lambda temporary: (seen.append(path.read_text()), temporary.write_text('new')))
    assert path.read_text() == 'new' and seen == ['old'] and list(tmp_path.iterdir()) == [path]


def test_others_may_read_it(tmp_path):
    path, plain = tmp_path / 'a.txt', tmp_path / 'b.txt'
    plain.write_text('x')
    write_whole(path, lambda temporary: (temporary.write_text('x'), temporary.chmod(0o600)))
    assert path.stat().st_mode == plain.stat().st_mode


def test_a_failure_leaves_what_was_there(tmp_path):
    path = tmp_path / 'a.txt'
    path.write_text('old')

    def write(temporary):
        temporary.write_text('half')
        raise RuntimeError('power')

    with pytest.raises(RuntimeError, match='power'):
        write_whole(path, write)
    assert path.read_text() == 'old' and list(tmp_path.iterdir()) == [path]


def test_several_writers_do_not_take_each_others_file(tmp_path):
    path = tmp_path / 'a.txt'

    def write(temporary):
        temporary.write_text('first')
        write_whole(path, lambda other: other.write_text('second'), several_writers=True)
        assert path.read_text() == 'second'

    write_whole(path, write, several_writers=True)
    assert path.read_text() == 'first' and list(tmp_path.iterdir()) == [path]
