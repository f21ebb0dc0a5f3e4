"""The sender: at least once, in order, and a broker that is away keeps nothing but its own letters."""

import testtools
from testscenarios import WithScenarios

from imagepipe.domain.event import Event, Priority
from imagepipe.notifications import Sender, is_disabled
from imagepipe.tests.fixtures.databases import DATABASES, use_database


class Broker:
    """A broker in memory, which can be away."""

    def __init__(self):
        self.taken = []
        self.away = False

    def __call__(self, letter):
        if self.away:
            raise ConnectionError('nobody there')
        self.taken.append(letter)


class SenderTest(WithScenarios, testtools.TestCase):
    scenarios = DATABASES

    def setUp(self):
        super().setUp()
        self.db = use_database(self).database
        self.broker = Broker()
        self.sender = self.a_sender('one')

    def a_sender(self, name, **options):
        defaults = {'interval': 0.01, 'lease': 30.0, 'retry_wait': 0.0}
        return Sender(self.db, self.broker, name=name, **(defaults | options))

    def post(self, *payloads, once=None):
        for payload in payloads:
            self.db.run(lambda tx, payload=payload: tx.notify(Event.IMAGE_CREATE, payload, once=once))

    def payloads(self):
        return [letter.payload for letter in self.broker.taken]

    def test_letters_arrive_in_their_order_and_once(self):
        self.post({'n': 1}, {'n': 2}, {'n': 3})
        self.sender.deliver()
        self.sender.deliver()
        self.assertEqual([{'n': 1}, {'n': 2}, {'n': 3}], self.payloads())

    def test_nothing_of_a_transaction_that_failed_is_sent(self):
        def fail(tx):
            tx.notify(Event.IMAGE_CREATE, {})
            raise ValueError

        self.assertRaises(ValueError, self.db.run, fail)
        self.assertEqual(0, self.sender.deliver())

    def test_a_broker_that_was_away_gets_everything_afterwards(self):
        self.broker.away = True
        self.post({'n': 1}, {'n': 2})
        self.sender.deliver()
        self.assertEqual([], self.payloads())
        self.broker.away = False
        self.sender.deliver()
        self.assertEqual([{'n': 1}, {'n': 2}], self.payloads())
        self.assertEqual([1, 1], [letter.attempts for letter in self.broker.taken])

    def test_a_letter_that_was_not_taken_waits(self):
        sender = self.a_sender('patient', retry_wait=100.0)
        self.broker.away = True
        self.post({'n': 1})
        sender.deliver()
        self.broker.away = False
        self.assertEqual(0, sender.deliver())

    def test_a_sender_that_died_with_letters_in_hand_loses_none(self):
        self.post({'n': 1})
        self.db.run(lambda tx: tx.outbox.take('dead', lease=0.0, limit=10))
        self.sender.deliver()
        self.assertEqual([{'n': 1}], self.payloads())

    def test_two_senders_do_not_send_the_same_letter(self):
        self.post({'n': 1})
        self.db.run(lambda tx: tx.outbox.take('other', lease=60.0, limit=10))
        self.assertEqual(0, self.sender.deliver())

    def test_of_an_event_with_a_key_there_is_one(self):
        self.post({'n': 1}, {'n': 2}, once='end:1')
        self.sender.deliver()
        self.assertEqual([{'n': 1}], self.payloads())

    def test_disabled_events_are_dropped(self):
        sender = self.a_sender('quiet', disabled=['image.create'])
        self.post({'n': 1})
        sender.deliver()
        self.assertEqual([], self.broker.taken)
        self.assertEqual(0, self.sender.deliver())

    def test_the_priority_of_an_error_is_kept(self):
        self.db.run(lambda tx: tx.notify(Event.IMAGE_UPLOAD, 'a sentence', priority=Priority.ERROR))
        self.sender.deliver()
        self.assertEqual([('ERROR', 'a sentence')], [(x.priority, x.payload) for x in self.broker.taken])

    def test_sent_letters_are_forgotten_when_they_are_old(self):
        self.post({'n': 1})
        self.sender.deliver()
        self.assertEqual(1, self.db.run(lambda tx: tx.outbox.purge(tx.now.replace(year=tx.now.year + 1))))


class DisabledTest(testtools.TestCase):
    def test_an_exact_name_or_the_first_part_disables(self):
        self.assertTrue(is_disabled('image.create', ['image.create']))
        self.assertTrue(is_disabled('image.member.create', ['image']))
        self.assertFalse(is_disabled('image.member.create', ['image.member']))
        self.assertFalse(is_disabled('task.create', ['image']))
