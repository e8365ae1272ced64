"""What trainings and generations live through: begun by either bot, taken on by fal, told by webhook."""

import random
from collections.abc import Iterator
from typing import Any

from yarl import URL

from tests.simulation import bot as bots
from tests.simulation import course as courses
from tests.simulation import images, meddling
from tests.simulation.chance import one_of
from tests.simulation.course import Course

FAILING = 0.9  # of the trainings that begin while fal fails


class Trainings:
    """Begins them, and has each followed to its end."""

    def __init__(self, world: Any) -> None:
        self._world = world

    def _chance(self, what: str, course: Course) -> random.Random:
        return random.Random(f"{self._world.seed}:{what}:{course.number}")

    def all(self) -> Iterator[Any]:
        """Make what each training of the plan lives through."""
        owners: list[tuple[str, int]] = []
        for number, begins in self._world.plan.trainings:
            chance = random.Random(f"{self._world.seed}:course:{number}")
            yield self._train(courses.draw(number, begins, chance, owners, self._world.temper), chance)

    def submitted(self, _endpoint: str, given: dict[str, Any], webhook: str) -> str:
        """Let fal take a training that the server submits; return its request id."""
        course: Course
        course, chance = self._world.newer_bot.submitted[given["images_data_url"]]
        if course.request_id in self._world.fal.jobs:
            self._world.hold(self._world.checker.submitted_twice, course)
            return course.request_id
        course.begins = self._world.loop.time()
        course.webhook = URL(webhook).raw_path_qs
        self._take(course, chance)
        self._world.fal.jobs[course.request_id].given = given
        self._world.begin(self.expect(course))
        return course.request_id

    def cancelled(self, request_id: str) -> None:
        """Let fal end a training that is not wanted any more."""
        courses.cancel(self._world.courses[request_id], self._world.loop.time())

    def _take(self, course: Course, chance: random.Random) -> None:
        """Let fal take a training on: from now on it works, and says what becomes of it."""
        if self._world.is_failing and chance.random() < FAILING:
            course.end = "refused"
        job, shelves = courses.prepare(course, chance, self._world.unix())
        job.ignores_cancel = course.number % 3 == 0
        self._world.fal.jobs[course.request_id] = job
        self._world.fal.shelves |= shelves
        self._follow(course)
        if chance.random() < self._world.temper.generates:
            begins = course.ends + chance.uniform(60, 3600)
            self._world.begin(self._generate(images.draw(course, chance, begins), chance))

    def _follow(self, course: Course) -> None:
        self._world.courses[course.request_id] = course
        if course.mood not in (None, "nameless"):
            self._world.telegram.moods[course.chat_id] = course.mood
        for number, saying in enumerate(course.sayings):
            self._world.begin(self._world.sender.say(course, saying, self._chance(f"say {number}", course)))

    async def expect(self, course: Course) -> None:
        """Hold the server to what a training's owner is to hear, once fal has said all."""
        await courses.until(course.ends + max(saying.at for saying in course.sayings))
        self._world.watchman.expect(course)

    async def _generate(self, course: Course, chance: random.Random) -> None:
        await courses.until(course.begins)
        if self._world.is_over:
            return
        self._world.fal.jobs[course.request_id] = images.prepare(course, chance, self._world.unix())
        self._follow(course)
        self._world.begin(self._world.newer_bot.generate(course, chance))
        await self.expect(course)

    async def _train(self, course: Course, chance: random.Random) -> None:
        await courses.until(course.begins)
        if course.is_submitted:
            await self._world.newer_bot.submit(course, chance)
            return
        self._take(course, chance)
        self._world.begin(self._world.bot.begin(course, chance, one_of(chance, bots.LATE)))
        if course.mood == "nameless" and chance.random() < 0.7:
            self._world.begin(self._world.bot.name(course, chance))
        if chance.random() < self._world.temper.refuses:
            self._world.bot.refuse(course)
        elif chance.random() < self._world.temper.meddles:
            self._world.begin(meddling.meddle(self._world, course, self._chance("meddle", course)))
        elif chance.random() < self._world.temper.gives_up:
            self._world.begin(self._world.bot.give_up(course, self._chance("up", course)))
        if chance.random() < (0.8 if course.trainer == "other" else self._world.temper.registers):
            self._world.begin(self._world.operator.register(course, self._chance("register", course)))
        if chance.random() < self._world.temper.forges:
            await self._world.sender.forge(course, chance)
        await self.expect(course)
