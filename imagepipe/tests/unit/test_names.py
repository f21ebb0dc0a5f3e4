"""Object names: made and read back."""

import uuid

import testtools

from imagepipe.domain import names

IMAGE = 'a3c2f0d0-6f5e-4d6e-8a37-7c7f1df1b0aa'
IMPORT = '0b8f6c52-5a3f-4a4b-9d0e-9f1f5be3ad11'


class NamesTest(testtools.TestCase):
    def test_a_name_is_read_back(self):
        name = names.object_name(IMAGE, IMPORT, 7, 'converted_qcow2')

        self.assertEqual(names.ObjectName(IMAGE, IMPORT, 7, 'converted_qcow2'), names.parse(name))
        self.assertEqual(name, str(names.parse(name)))

    def test_names_are_legal_in_every_driver(self):
        name = names.object_name(IMAGE, IMPORT, 2**32, 'p' * 48)

        self.assertRegex(name, r'\A[A-Za-z0-9._-]{1,199}\Z')

    def test_names_are_listed_by_image_and_by_import(self):
        name = names.object_name(IMAGE, IMPORT, 0, 'data')

        self.assertTrue(name.startswith(names.prefix(IMAGE)))
        self.assertTrue(name.startswith(names.prefix(IMAGE, IMPORT)))
        self.assertFalse(name.startswith(names.prefix(IMAGE, str(uuid.uuid4()))))

    def test_no_name_can_be_mistaken_for_a_segment_of_another(self):
        name = names.object_name(IMAGE, IMPORT, 1, 'data')

        self.assertIsNone(names.parse(name + '-00001'))
        self.assertRaises(ValueError, names.object_name, IMAGE, IMPORT, 1, 'data-00001')

    def test_what_would_not_be_read_back_is_refused(self):
        for parts in (
            ('../etc', IMPORT, 1, 'data'),
            (IMAGE, '', 1, 'data'),
            (IMAGE, IMPORT, -1, 'data'),
            (IMAGE, IMPORT, 1, 'da/ta'),
            (IMAGE, IMPORT, 1, 'da.ta'),
            (IMAGE, IMPORT, True, 'data'),
        ):
            self.assertRaises(ValueError, names.object_name, *parts)

    def test_names_of_others_are_not_ours(self):
        for name in (IMAGE, '', f'{IMAGE}.{IMPORT}.01.data', f'{IMAGE}.{IMPORT}.1.data\n', 'a/b.c.1.data'):
            self.assertIsNone(names.parse(name))
