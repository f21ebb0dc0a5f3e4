"""The sender: at least once, in order, and a broker that is away keeps nothing but its own letters."""

import threading

import sqlalchemy as sa
import testtools
from testscenarios import WithScenarios

from imagepipe.db.outbox import Letter
from imagepipe.db.schema import outbox
from imagepipe.domain.event import Event, Priority
from imagepipe.notifications import AWAY, Patience, Sender, is_disabled
from imagepipe.tests.fixtures.databases import DATABASES, use_database
from imagepipe.tests.fixtures.workers import wait_until


class Broker:
    """A broker in memory, which can be away."""

    def __init__(self):
        self.taken = []
        self.away = False
        self.refuses = ()
        self.asked = 0

    def __call__(self, letter):
        self.asked += 1
        if self.away or letter.payload in self.refuses:
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

    def test_a_broker_that_is_away_is_asked_for_one_letter_at_a_time(self):
        sender = self.a_sender('patient', retry_wait=0.01)
        self.broker.away = True
        self.post(*({'n': number} for number in range(20)))
        sender.deliver()
        self.assertEqual(AWAY, self.broker.asked)
        wait_until(sender.deliver, 'the broker is asked again')
        self.assertEqual(AWAY + 1, self.broker.asked)

    def test_a_broker_that_is_back_gets_all_at_once(self):
        # The first letters were refused so often that each would wait for minutes by itself.
        sender = self.a_sender('patient', retry_wait=0.01)
        self.broker.away = True
        self.post(*({'n': number} for number in range(20)))
        sender.deliver()
        self.db.run(
            lambda tx: tx.connection.execute(
                sa.update(outbox).where(outbox.c.attempts > 0).values(due=outbox.c.due + 1000)
            )
        )
        self.broker.away = False
        wait_until(lambda: sender.deliver() or len(self.broker.taken) == 20, 'the broker has all')
        wait_until(lambda: not sender.deliver(), 'nothing is left')
        self.assertEqual(set(range(20)), {letter['n'] for letter in self.payloads()})
        self.assertEqual(20, len(self.payloads()))

    def test_a_letter_that_no_broker_likes_waits_alone(self):
        sender = self.a_sender('patient', retry_wait=100.0)
        self.broker.refuses = [{'n': 3}]
        self.post(*({'n': number} for number in range(9)))
        sender.deliver()
        self.assertEqual([0, 1, 2, 4, 5, 6, 7, 8], [letter['n'] for letter in self.payloads()])
        self.assertEqual(0, sender.deliver())

    def test_letters_that_no_broker_likes_hold_up_nobody(self):
        # They are more than make it seem that the broker is away, and older than the others.
        self.broker.refuses = [{'bad': number} for number in range(60)]
        self.post(*self.broker.refuses)
        for number in range(20):
            self.post({'n': number})
            asked = self.broker.asked
            wait_until(lambda: self.sender.deliver() and {'n': number} in self.payloads(), 'it is sent')  # noqa: B023
            self.assertLess(self.broker.asked - asked, 2 * AWAY + 2)
        self.assertEqual([{'n': number} for number in range(20)], self.payloads())

    def test_however_long_it_was_away_what_was_tried_meanwhile_is_due_soon(self):
        sender = self.a_sender('patient', retry_wait=0.001)
        self.broker.away = True
        self.post({'n': 1}, {'n': 2}, {'n': 3})
        wait_until(lambda: sender.deliver() and self.broker.asked > 60, 'each was tried many times')
        wait = self.db.read(lambda tx: tx.connection.scalar(sa.select(sa.func.max(outbox.c.due) - tx.clock)))
        self.assertLess(wait, 0.001 * 2**10 + 0.5)
        self.broker.away = False
        wait_until(lambda: not sender.deliver() and len(self.broker.taken) == 3, 'the broker has all')

    def test_when_the_broker_is_back_what_it_never_takes_waits_on(self):
        stubborn = outbox.c.payload.contains('bad')
        self.post({'bad': 1}, {'n': 1})
        self.db.run(
            lambda tx: tx.connection.execute(
                sa.update(outbox).values(due=outbox.c.due + 1000, attempts=sa.case((stubborn, 20), else_=1))
            )
        )
        self.db.run(lambda tx: tx.outbox.hasten())
        self.sender.deliver()
        self.assertEqual([{'n': 1}], self.payloads())

    def test_what_another_sender_has_in_hand_stays_there_when_the_broker_is_back(self):
        self.post({'n': 1})
        self.db.run(lambda tx: tx.outbox.take('other', lease=60.0, limit=1))
        self.db.run(lambda tx: tx.outbox.hasten())
        self.assertEqual(0, self.sender.deliver())

    def test_letters_that_a_slow_broker_has_not_taken_in_time_are_another_senders(self):
        self.post({'n': 1}, {'n': 2}, {'n': 3})
        self.a_sender('slow', lease=0.0).deliver()
        self.assertEqual([{'n': 1}], self.payloads())
        self.assertEqual(2, self.sender.deliver())
        self.assertEqual([{'n': 1}, {'n': 2}, {'n': 3}], self.payloads())

    def test_a_sender_that_stops_gives_back_what_it_has_not_sent(self):
        self.post({'n': 1}, {'n': 2}, {'n': 3})
        ending = self.a_sender('ending')
        ending._done.set()
        ending.deliver()
        self.assertEqual(2, self.sender.deliver())
        self.assertEqual([{'n': 1}, {'n': 2}, {'n': 3}], self.payloads())

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


class PatienceTest(testtools.TestCase):
    """A broker that does not answer."""

    def setUp(self):
        super().setUp()
        self.answers, self.entered, self.taken = threading.Event(), threading.Event(), []
        self.addCleanup(self.answers.set)
        self.letter = Letter(id=1, event_type='image.create', priority='INFO', payload={}, attempts=0)

    def hang(self, letter):
        self.entered.set()
        self.answers.wait(60)
        self.taken.append(letter)

    def test_it_is_waited_for_so_long(self):
        self.assertRaises(TimeoutError, Patience(self.hang, timeout=0.01), self.letter)
        self.assertTrue(self.entered.is_set())

    def test_meanwhile_nothing_else_is_tried_and_afterwards_it_is(self):
        notify = Patience(self.hang, timeout=0.01)
        self.assertRaises(TimeoutError, notify, self.letter)
        self.entered.clear()
        self.assertRaises(TimeoutError, notify, self.letter)
        self.assertFalse(self.entered.is_set())
        self.answers.set()
        wait_until(lambda: self.taken, 'what hung arrives after all')
        wait_until(lambda: self.delivered(Patience(self.hang, timeout=60)), 'others follow')

    def delivered(self, notify):
        notify(self.letter)
        return len(self.taken) == 2

    def test_what_the_broker_says_is_handed_on(self):
        def refuse(_letter):
            raise ConnectionError('nobody there')

        self.assertRaises(ConnectionError, Patience(refuse, timeout=60), self.letter)


class DisabledTest(testtools.TestCase):
    def test_an_exact_name_or_the_first_part_disables(self):
        self.assertTrue(is_disabled('image.create', ['image.create']))
        self.assertTrue(is_disabled('image.member.create', ['image']))
        self.assertFalse(is_disabled('image.member.create', ['image.member']))
        self.assertFalse(is_disabled('task.create', ['image']))
