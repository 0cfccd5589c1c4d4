#include "services/shipping/jobs.hpp"

#include "platform/jobs/batch.hpp"
#include "platform/made_at.hpp"
#include "platform/observe/log.hpp"
#include "services/shipping/reactions.hpp"
#include "services/shipping/service.hpp"

namespace acme::shipping {

namespace {

template <typename... F>
struct Cases : F... {
  using F::operator()...;
};

using Records = std::function<Task<>(ShipmentStore&, const Shipment&)>;

/// One transaction: decides on the shipment, records beside it, says and starts what follows (`pushes`: their
/// subscription too); `done` ends the job.
Task<std::optional<Shipment>> conclude(Job& job, ShipmentId id, bool done, Change change, Records also = {},
                                       bool pushes = true) {
  return job.database().transaction(
      [&job, id, done, pushes, change = std::move(change),
       also = std::move(also)](pg::Transaction& tx) -> Task<std::optional<Shipment>> {
        const auto store = open_store(tx);
        auto changed = co_await store->decide(id, job.now(), change);
        if (!changed.empty() && also) co_await also(*store, changed.front().shipment);
        carry_out(tx, changed, job.now() + Duration{job.get<Settings>().track_first_ms}, pushes);
        if (done) job.finish(tx);
        if (changed.empty()) co_return std::nullopt;
        co_return std::move(changed.front().shipment);
      },
      job.deadline());
}

Task<> keep_labels(Job& job, std::vector<BoughtLabel>& labels) {
  return job.database().transaction(
      [&](pg::Transaction& tx) -> Task<> {
        tx.repeatable = true;  // the carrier says it again, asked by the reference
        co_await open_store(tx)->labels_bought(labels, job.now());
        std::vector<Changed> changed;
        for (auto& [shipment, label, lease, traceparent, kept, ended] : labels) {
          if (!kept) continue;
          Announcement said{std::string{name(shipment.status)}, shipment.sequence, job.now(), {}};
          changed.push_back({shipment, {.say = {std::move(said)}, .track = true}, traceparent});
        }
        carry_out(tx, changed, job.now() + Duration{job.get<Settings>().track_first_ms}, false);
      },
      job.deadline());
}

Task<> subscribe_all(Job& job, std::vector<Labels::Push>& pushes) {
  std::vector<std::string> numbers;
  for (auto& push : pushes) numbers.push_back(push.tracking_number);
  const auto taken = co_await job.get<Carrier>().subscribe(std::move(numbers), job.deadline());
  for (auto& push : pushes) push.taken = std::ranges::count(taken, push.tracking_number) > 0;
}

Task<jobs::Outcome> keep_label(Job& job, Shipment shipment, Label label) {
  auto& labels = job.get<Labels>();
  const auto keep = [&job](std::vector<BoughtLabel>& all) { return keep_labels(job, all); };
  const auto bought = co_await labels.bought.join({shipment, label, jobs::lease_of(job), job.traceparent()}, keep);
  if (bought.ended) jobs::ended(job);
  bool pushes = bought.kept;
  if (!pushes) {
    const auto kept = co_await conclude(
        job, shipment.id, true,
        [&](Shipment& of) { return label_bought(of, label.carrier_shipment, label.tracking_number, job.now()); },
        [&](ShipmentStore& store, const Shipment& of) {
          return store.label_bought(reference(shipment), of.id, label, job.now());
        },
        false);
    pushes = kept && state_of(*kept) == State::label_created;
  }
  if (!pushes || !job.get<Settings>().push) co_return jobs::Done{};
  // A convenience, polling is the truth: it is a job only where it did not work at once.
  const auto ask = [&job](std::vector<Labels::Push>& all) { return subscribe_all(job, all); };
  if (!(co_await labels.pushes.join({label.tracking_number}, ask)).taken)
    co_await job.database().transaction(
        [id = shipment.id](pg::Transaction& tx) -> Task<> {
          jobs::enqueue(tx, subscribe_job, id.text(), ShipmentWork{id});
          co_return;
        },
        job.deadline());
  co_return jobs::Done{};
}

/// The carrier was called and its answer is not known: ask, wait, ask again; only then give the label up for lost.
Task<jobs::Outcome> ask(Job& job, Shipment shipment) {
  const auto& settings = job.get<Settings>();
  auto& carrier = job.get<Carrier>();
  const std::string name = reference(shipment);
  auto found = co_await carrier.find(name, *shipment.called_at, job.deadline());
  if (auto* label = std::get_if<Label>(&found))
    co_return co_await keep_label(job, std::move(shipment), std::move(*label));
  if (auto* not_done = std::get_if<NotDone>(&found)) co_return jobs::Retry{not_done->reason, not_done->after};
  if (auto* blind = std::get_if<WithoutLabel>(&found)) {
    auto voided = co_await carrier.void_label(blind->tracking_number, job.deadline());
    if (!std::holds_alternative<Voided>(voided))
      co_return jobs::Retry{"the label of " + blind->tracking_number + " can neither be had nor voided"};
    co_await conclude(
        job, shipment.id, false, [](Shipment& of) { return label_replaced(of), Effects{}; },
        [&](ShipmentStore& store, const Shipment&) {
          return store.label_ended(name, "void", "its image could not be recovered", job.now());
        });
    co_return jobs::Retry{"voided a label without an image", Duration{1}, false};
  }
  bool lost = false;
  co_await job.database().transaction(
      [&](pg::Transaction& tx) -> Task<> {
        const auto store = open_store(tx);
        auto changed = co_await store->decide(shipment.id, job.now(), [&](Shipment& of) {
          lost = label_not_found(of, settings.asks);
          return Effects{};
        });
        if (!lost) co_return;
        co_await store->label_ended(name, "lost", "the carrier does not know it", job.now());
        jobs::enqueue(tx, void_straggler_job, name, StragglerWork{name, *shipment.called_at},
                      job.now() + Duration{settings.straggler_ms});
      },
      job.deadline());
  if (lost) co_return jobs::Retry{"the carrier does not know " + name + ": buying anew", Duration{1}, false};
  // Each wait twice as long as the one before: a shipment becomes findable after a time that UPS does not promise.
  co_return jobs::Retry{"the carrier does not know " + name + " yet",
                        Duration{settings.ask_every_ms << std::min<std::int64_t>(shipment.asks, 6)}, false};
}

/// An order that is older than this may have a label that shipping forgot, as it was restored since. Most are paid at
/// once and labelled within a second; a restore takes longer than this.
constexpr std::chrono::minutes forgotten_after{10};
/// So many labels in a row: one is voided or replaced now and then, hardly two.
constexpr int references_asked = 3;

/// What the carrier has under the shipment's reference, or under that of a later label, is taken up as if its answer
/// had been lost. Nullopt: it has nothing.
Task<std::optional<jobs::Outcome>> take_up(Job& job, Shipment shipment) {
  const auto expected = shipment.attempt;
  shipment.called_at = made_at(shipment.order_id.uuid());
  for (; shipment.attempt < expected + references_asked; ++shipment.attempt) {
    const auto found = co_await job.get<Carrier>().find(reference(shipment), *shipment.called_at, job.deadline());
    if (std::holds_alternative<NotFound>(found)) continue;
    if (auto* not_done = std::get_if<NotDone>(&found)) {
      co_await conclude(job, shipment.id, false, [](Shipment& of) { return label_not_called(of), Effects{}; });
      co_return jobs::Retry{not_done->reason, not_done->after};
    }
    log::warning("a forgotten label is taken up", {{"reference", reference(shipment)}});
    if (shipment.attempt != expected)
      co_await conclude(job, shipment.id, false,
                        [&](Shipment& of) { return of.attempt = shipment.attempt, Effects{}; });
    co_return co_await ask(job, std::move(shipment));
  }
  co_return std::nullopt;
}

Task<jobs::Outcome> buy(Job& job, Shipment shipment) {
  const auto& settings = job.get<Settings>();
  if (job.now() - made_at(shipment.order_id.uuid()) > forgotten_after)
    if (auto taken = co_await take_up(job, shipment)) co_return *taken;
  auto answer =
      co_await job.get<Carrier>().ship({reference(shipment), *shipment.consignee,
                                        weight_grams(shipment.lines, settings.packaging_grams), shipment.service},
                                       job.deadline());
  const std::string name = reference(shipment);
  if (auto* label = std::get_if<Label>(&answer))
    co_return co_await keep_label(job, std::move(shipment), std::move(*label));
  if (auto* refused = std::get_if<Refused>(&answer)) {
    log::warning("label refused", {{"shipment", shipment.id.text()}, {"reason", refused->reason}});
    co_await conclude(
        job, shipment.id, true, [&](Shipment& of) { return label_refused(of, refused->reason, job.now()); },
        [&](ShipmentStore& store, const Shipment&) {
          return store.label_ended(name, "refused", refused->reason, job.now());
        });
    co_return jobs::Done{};
  }
  if (auto* not_done = std::get_if<NotDone>(&answer)) {
    co_await conclude(job, shipment.id, false, [](Shipment& of) { return label_not_called(of), Effects{}; });
    co_return jobs::Retry{not_done->reason, not_done->after};
  }
  log::warning("label unknown", {{"shipment", shipment.id.text()}, {"reason", std::get<Unknown>(answer).reason}});
  co_return jobs::Retry{std::get<Unknown>(answer).reason, Duration{settings.ask_every_ms}, false};
}

}  // namespace

static Task<> call(Job& job, std::vector<Labels::Call>& calls) {
  std::vector<ShipmentId> ids;
  for (auto& call : calls) ids.push_back(call.id);
  for (auto& shipment : co_await open_store(job.db())->call(ids, job.now()))
    std::ranges::find(calls, shipment.id, &Labels::Call::id)->called = std::move(shipment);
}

Task<jobs::Outcome> buy_label(Job& job, ShipmentWork work) {
  const auto calls = [&job](std::vector<Labels::Call>& all) { return call(job, all); };
  if (auto called = (co_await job.get<Labels>().calls.join({work.shipment_id}, calls)).called)
    co_return co_await buy(job, std::move(*called));
  Step step = Step::nothing;
  const auto begun = co_await job.database().transaction(
      [&](pg::Transaction& tx) -> Task<std::optional<Shipment>> {
        const auto store = open_store(tx);
        auto changed = co_await store->decide(work.shipment_id, job.now(), [&](Shipment& shipment) {
          Effects effects;
          step = begin_label(shipment, effects, job.now());
          return effects;
        });
        if (changed.empty()) co_return std::nullopt;
        carry_out(tx, changed);
        co_return std::move(changed.front().shipment);
      },
      job.deadline());
  if (!begun || step == Step::nothing) co_return jobs::Done{};
  if (step == Step::buy) co_return co_await buy(job, *begun);
  co_return co_await ask(job, *begun);
}

/// The carrier is away: that is no look at what it says, and counts as none.
static jobs::Retry later(const Job& job, const NotDone& not_done) {
  return {not_done.reason, std::max(not_done.after, Duration{job.get<Settings>().ask_every_ms}), false};
}

/// Where a parcel is that the carrier does not void: "too late or unknown", and tracking says which. Nullopt: not seen.
static Task<std::variant<NotDone, std::optional<Status>>> last_seen(Job& job, std::string tracking_number) {
  auto tracking = co_await job.get<Carrier>().track(std::move(tracking_number), job.deadline());
  if (auto* not_done = std::get_if<NotDone>(&tracking)) co_return std::move(*not_done);
  std::optional<Status> status;
  if (auto* seen = std::get_if<Tracking>(&tracking))
    for (auto activity = seen->activities.begin(); !status && activity != seen->activities.end(); ++activity)
      status = activity->status;
  co_return status;
}

/// What the carrier says of a label, for as long as it is the shipment's: another may have been bought in its place.
static Change of_label(const Shipment& asked, Change change) {
  return [attempt = asked.attempt, change = std::move(change)](Shipment& of) {
    return of.attempt == attempt ? change(of) : Effects{};
  };
}

Task<jobs::Outcome> void_label(Job& job, ShipmentWork work) {
  bool begun = false, asked_before = false;
  const auto shipment = co_await conclude(job, work.shipment_id, false, [&](Shipment& of) {
    asked_before = of.void_asked;
    begun = begin_void(of);
    return Effects{};
  });
  if (!begun) co_return jobs::Done{};
  const std::string name = reference(*shipment);
  const auto voided = [&] {
    return conclude(
        job, shipment->id, true, of_label(*shipment, [&](Shipment& of) { return label_voided(of, job.now()); }),
        [&](ShipmentStore& store, const Shipment&) { return store.label_ended(name, "void", "cancelled", job.now()); });
  };
  const auto refused = [&](std::string reason) {
    return conclude(job, shipment->id, true, of_label(*shipment, [&job, reason](Shipment& of) {
                      return void_refused(of, reason, job.now());
                    }));
  };

  auto answer = co_await job.get<Carrier>().void_label(*shipment->carrier_shipment, job.deadline());
  if (auto* unknown = std::get_if<Unknown>(&answer)) co_return later(job, {unknown->reason});
  if (std::holds_alternative<Voided>(answer)) {
    co_await voided();
    co_return jobs::Done{};
  }
  if (!asked_before)
    co_await conclude(job, shipment->id, false,
                      of_label(*shipment, [](Shipment& of) { return void_not_done(of), Effects{}; }));
  if (auto* not_done = std::get_if<NotDone>(&answer)) co_return later(job, *not_done);
  auto seen = co_await last_seen(job, *shipment->tracking_number);
  if (auto* not_done = std::get_if<NotDone>(&seen)) co_return later(job, *not_done);
  const auto status = std::get<std::optional<Status>>(seen).value_or(Status::label_created);
  // It may be void by a call whose answer was lost, and tracking may show it late: ten looks, each wait twice as long,
  // the last more than eight hours after the first with the production settings.
  const int looks = asked_before ? 10 : 5;
  if (status == Status::cancelled) {
    co_await voided();
  } else if (status != Status::label_created || job.attempt() >= looks) {
    co_await refused(std::get<Refused>(answer).reason);
  } else {
    const auto wait = Duration{job.get<Settings>().ask_every_ms << (job.attempt() - 1)};
    co_return jobs::Retry{std::get<Refused>(answer).reason, asked_before ? wait : Duration{0}};
  }
  co_return jobs::Done{};
}

Task<jobs::Outcome> track(Job& job, ShipmentWork work) {
  const auto& settings = job.get<Settings>();
  const auto shipment = co_await open_store(job.db())->find(work.shipment_id, everybody);
  if (!shipment || final(shipment->status) || shipment->label != LabelState::bought) co_return jobs::Done{};
  auto answer = co_await job.get<Carrier>().track(*shipment->tracking_number, job.deadline());
  if (auto* not_done = std::get_if<NotDone>(&answer)) co_return jobs::Retry{not_done->reason, not_done->after};

  Tracking tracking;
  if (auto* seen = std::get_if<Tracking>(&answer)) tracking = std::move(*seen);
  const std::string name = reference(*shipment);
  bool its = false;
  const auto after = co_await conclude(
      job, work.shipment_id, false, of_label(*shipment,
                                             [&](Shipment& of) {
                                               its = true;
                                               ++of.polls;
                                               return tracked(of, tracking.activities);
                                             }),
      [&](ShipmentStore& store, const Shipment& of) -> Task<> {
        if (!its) co_return;
        if (!tracking.activities.empty()) co_await store.activities_seen(of.id, tracking.activities);
        if (of.attempt != shipment->attempt)
          co_await store.label_ended(name, "void", "voided at the carrier", job.now());
      });
  if (!after || final(after->status)) co_return jobs::Done{};
  co_return jobs::Retry{"on its way",
                        next_poll(after->polls, Duration{settings.track_first_ms}, Duration{settings.track_longest_ms}),
                        false};
}

Task<jobs::Outcome> subscribe(Job& job, ShipmentWork work) {
  if (!job.get<Settings>().push) co_return jobs::Done{};
  const auto shipment = co_await open_store(job.db())->find(work.shipment_id, everybody);
  if (!shipment || final(shipment->status) || !shipment->tracking_number) co_return jobs::Done{};
  if (!(co_await job.get<Carrier>().subscribe({*shipment->tracking_number}, job.deadline())).empty())
    co_return jobs::Done{};
  if (job.attempt() >= 3) co_return jobs::Done{};
  co_return jobs::Retry{"no subscription"};
}

Task<jobs::Outcome> void_straggler(Job& job, StragglerWork work) {
  const auto& settings = job.get<Settings>();
  auto& carrier = job.get<Carrier>();
  auto found = co_await carrier.find(work.reference, work.called_at, job.deadline());
  if (auto* not_done = std::get_if<NotDone>(&found)) co_return later(job, *not_done);
  if (std::holds_alternative<NotFound>(found)) {
    // Three looks, the last a day after the call with the production settings (1 h, 5 h, 25 h).
    if (job.attempt() >= 3) {
      co_await open_store(job.db())->label_ended(work.reference, "lost", "the carrier does not know it", job.now());
      co_return jobs::Done{};
    }
    co_return jobs::Retry{"still unknown", Duration{settings.straggler_ms * (job.attempt() == 1 ? 4 : 20)}};
  }
  const auto* label = std::get_if<Label>(&found);
  const std::string number = label ? label->tracking_number : std::get<WithoutLabel>(found).tracking_number;
  auto answer = co_await carrier.void_label(label ? label->carrier_shipment : number, job.deadline());
  if (auto* unknown = std::get_if<Unknown>(&answer)) co_return later(job, {unknown->reason});
  if (auto* not_done = std::get_if<NotDone>(&answer)) co_return later(job, *not_done);
  std::optional<Status> status = Status::cancelled;
  const auto* refused = std::get_if<Refused>(&answer);
  if (refused) {
    auto seen = co_await last_seen(job, number);
    if (auto* not_done = std::get_if<NotDone>(&seen)) co_return later(job, *not_done);
    status = std::get<std::optional<Status>>(seen);
  }
  const std::string_view where = status ? name(*status) : "nowhere";
  log::warning("a label given up for lost turned up",
               {{"reference", work.reference}, {"tracking_number", number}, {"status", where}});
  // One that cannot be voided counts as alive, and the job as dead: the doctor names both until a person has stopped
  // the parcel, or it came to its end.
  const bool over = status && final(*status);
  co_await open_store(job.db())->label_ended(work.reference, over ? "void" : "bought",
                                             "turned up after it was given up: " + number + ", " + std::string{where},
                                             job.now());
  if (over) co_return jobs::Done{};
  co_return jobs::Dead{"the carrier does not void " + number + ", given up for lost and replaced: " + refused->reason};
}

}  // namespace acme::shipping
