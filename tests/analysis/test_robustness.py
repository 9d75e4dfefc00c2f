"""Accuracy on class subsets and corrupted pictures."""
import json

import pytest

from mim_plugins.analysis.robustness import (
    ALEXNET_ERRORS,
    SEVERITIES,
    class_numbers,
    corruption_robustness,
    folder_accuracy,
    imagenet_classes,
)
from mim_plugins.errors import InputError

from ..runs import ROOT, run_tool
from .conftest import Answers, picture

TOOL = ROOT / 'tools' / 'analysis' / 'robustness.py'
CLASSES = ['ant', 'bee', 'cow', 'dog']


def test_imagenets_classes_in_order():
    classes = imagenet_classes()
    assert len(classes) == 1000 and classes == sorted(classes)
    assert classes[0] == 'n01440764' and classes[404] == 'n02690373'  # tench, airliner


def test_class_numbers():
    assert class_numbers(['dog', 'bee'], CLASSES) == [3, 1]
    with pytest.raises(InputError, match='1 of 2 folders are called like none of the 4 classes: emu'):
        class_numbers(['emu', 'bee', 'emu'], CLASSES)


class TestSubset:

    @pytest.fixture
    def root(self, tmp_path):
        for name in ('bee/1', 'bee/2', 'dog/3', 'dog/4'):
            picture(tmp_path / 'subset' / f'{name}.png')
        return tmp_path / 'subset'

    def test_only_the_folders_classes_compete(self, root):
        answers = {'1': [.9, .5, .8, .1], '2': [.1, .2, .1, .6], '3': [.9, -1, .8, 0], '4': [.4, .1, .3, .2]}
        result = folder_accuracy(Answers(lambda path: answers[path.stem]), root, CLASSES)
        assert result == dict(accuracy=.75, classes=2, pictures=4, unreadable=[])

    def test_bad_input_is_refused(self, root, tmp_path):
        with pytest.raises(InputError, match='has 3 classes, but the names of 4 were given'):
            folder_accuracy(Answers(lambda path: [0, 0, 1], num_classes=3), root, CLASSES)
        for empty in (tmp_path / 'none', root / 'bee'):
            with pytest.raises(InputError, match='expected one folder per class in'):
                folder_accuracy(Answers(lambda path: [0, 0, 1, 0]), empty, CLASSES)


class TestCorruptions:

    def root(self, folder, left_out: str = '', group: str = ''):
        for corruption in ALEXNET_ERRORS:
            for severity in SEVERITIES:
                if f'{corruption}/{severity}' != left_out:
                    for label in ('ant', 'bee'):
                        picture(folder / 'c' / group / corruption / severity / label / '1.png')
        return folder / 'c'

    @staticmethod
    def answer(path):
        """Always right on ants; on bees in fog from severity 3 on, and wrong otherwise."""
        right = path.parts[-2] == 'ant' or (path.parts[-4] == 'fog' and int(path.parts[-3]) >= 3)
        label = CLASSES.index(path.parts[-2])
        return [float((number == label) == right) if number < 2 else 0. for number in range(4)]

    @pytest.mark.parametrize('group', ['', 'noise'])
    def test_errors_and_mce_by_hand(self, tmp_path, group):
        result = corruption_robustness(Answers(self.answer), self.root(tmp_path, group=group), CLASSES)
        fog = (.5 + .5) / 5
        assert result['errors'] == {name: pytest.approx(fog if name == 'fog' else .5) for name in ALEXNET_ERRORS}
        assert result['accuracy'] == pytest.approx(1 - (14 * .5 + fog) / 15)
        expected = sum((fog if name == 'fog' else .5) / error for name, error in ALEXNET_ERRORS.items()) / 15
        assert result['mce'] == pytest.approx(expected) and result['missing'] == [] and result['pictures'] == 150

    def test_another_baseline(self, tmp_path):
        root = self.root(tmp_path)
        result = corruption_robustness(Answers(self.answer), root, CLASSES, dict.fromkeys(ALEXNET_ERRORS, .5))
        assert result['mce'] == pytest.approx((14 + .4) / 15)
        with pytest.raises(InputError, match='error above 0 for each of 15 corruptions, but lacks fog, snow'):
            corruption_robustness(Answers(self.answer), root, CLASSES, {
                **dict.fromkeys(ALEXNET_ERRORS, .5), 'fog': 0, 'snow': None})

    def test_without_all_folders_there_is_no_mce(self, tmp_path):
        result = corruption_robustness(Answers(self.answer), self.root(tmp_path, 'fog/2'), CLASSES)
        assert result['mce'] is None and result['missing'] == ['fog/2']
        assert result['errors']['fog'] == pytest.approx(.5 / 4)

    def test_no_corruption_is_refused(self, tmp_path):
        with pytest.raises(InputError, match='expected folders <corruption>/<severity>'):
            corruption_robustness(Answers(self.answer), tmp_path, CLASSES)

    def test_alexnets_errors_are_the_published_ones(self):
        assert len(ALEXNET_ERRORS) == 15 and sum(ALEXNET_ERRORS.values()) / 15 == pytest.approx(.789, abs=1e-4)


def test_as_a_tool(classifier_files, tmp_path):
    config, checkpoint = classifier_files(4)
    for label in ('bee', 'dog'):
        picture(tmp_path / 'a' / label / '1.png')
        picture(tmp_path / 'c' / 'fog' / '1' / label / '1.png')
    (tmp_path / 'classes.txt').write_text('\n'.join(CLASSES))
    (tmp_path / 'a' / 'dog' / 'broken.png').write_bytes(b'no picture')
    printed = run_tool(TOOL, config, checkpoint, 'a', '--layout', 'a', '--classes', 'classes.txt', '--out', 'out',
                       '--workers', 0, cwd=tmp_path)
    result = json.loads((tmp_path / 'out/robustness.json').read_text())
    assert result['pictures'] == 2 and f'top-1 {result["accuracy"]:.1%} of 2 pictures' in printed
    assert 'left out: could not read the image' in printed and len(result['unreadable']) == 1
    printed = run_tool(TOOL, config, checkpoint, 'c', '--layout', 'c', '--classes', 'classes.txt', '--out', 'out',
                       '--workers', 0, cwd=tmp_path)
    assert 'no mCE: 74 folders are missing, the first gaussian_noise/1' in printed
    printed = run_tool(TOOL, config, checkpoint, 'a', '--layout', 'sketch', '--out', 'out', cwd=tmp_path, ok=False)
    assert 'error: 2 of 2 folders are called like none of the 1000 classes: bee, dog' in printed
