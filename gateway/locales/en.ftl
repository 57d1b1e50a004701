# Giọt's words in English: the page and every message are written from this file.
# Numbers and dates arrive already formatted, with their unit. Every id of this file is in vi.ftl too.

## Frame of the page

nav = Screens
nav-zones = Zones
nav-programs = Programs
nav-history = History
nav-diary = Diary
nav-nodes = Nodes
language = Language
farm-time = Time on the farm
demo-badge = Simulated time ×{ $speed }
link-connecting = Connecting
link-live = Live
link-lost = Offline
loading = Loading…
retry = Try again
dismiss = Close
cancel = Cancel
lost-title = The gateway cannot be reached.
lost-since = What you see below is old, as of { $time }.
lost-never = Nothing has been received yet.
clock-unset = The gateway's clock is not set: no automatic irrigation until it knows the time.
failed-unreachable = Not sent: the gateway does not answer. Nothing was done.
failed-refused = Not done: { $why }
failed-sign-in = Please sign in again.
failed-too-many = Too many attempts. Wait a little and try again.
failed-other = Not done (status { $status }). { $detail }
sign-in = Sign in
sign-out = Sign out
sign-in-note = Enter the gateway's secret. It is in the file admin-secret of the data folder.
sign-in-wrong = The secret is wrong.
secret = Secret

## Zones

summary = Summary
summary-open = irrigating
summary-waiting = waiting
summary-wrong = with a fault
summary-nodes = nodes online
no-zones = There is no irrigation zone yet. Declare zones in the configuration file.
zone-unknown = There is no such zone.
recent = What just happened
whole-diary = See the whole diary
details = Details
details-zone = Details of { $zone }
moisture = Soil moisture
tension = Soil water tension
no-value = No reading
no-probe = No soil probe
old-value = Old reading
by-hand-only = by programs and by hand only
nothing-yet = Nothing has been recorded yet.
waiting-for = Waiting:
needs-person = Needs a person:
open-by-hand = Irrigating, started by hand
open-by-itself = Irrigating automatically
time-left = { $span } left
start-below = Start when below
stop-above = Stop when above
start-above = Start when above
stop-below = Stop when below
depleted = Available water used up
valve = Valve
valve-number = valve { $n }
source = Water source
probes = Probes
probe = Probe
probe-name = { $device }, { $depth } cm deep
value = Reading
quality = Quality
chart-title = Soil moisture over time
chart-title-tension = Soil water tension over time
chart-span = Time span
span-1 = 24 h
span-7 = 7 days
span-30 = 30 days
legend-run = Irrigation
legend-last = Last reading
chart-moisture = Soil moisture between { $low } and { $high } in the last { $days ->
    [1] 24 hours
   *[other] { $days } days
  }.
chart-tension = Soil water tension between { $low } and { $high } in the last { $days ->
    [1] 24 hours
   *[other] { $days } days
  }.
chart-empty = No reading in the last { $days ->
    [1] 24 hours
   *[other] { $days } days
  }.
chart-no-runs = No irrigation.
chart-runs = Irrigated { $n ->
    [1] once
   *[other] { $n } times
  }, { $span } in all.
chart-litres = Water: { $litres }.
as-table = Show as a table
time = Time
zone-diary = Diary of this zone

## History

history-title = History
history-series = Series
history-chosen = Chosen: { $n } of { $most } at most
history-filter = Find a device or a metric
history-more = { $n } more: type part of a name.
history-none = Nothing is stored yet.
history-nothing-chosen = Choose at least one series.
history-units = At most two units fit into one chart: leave out some series.
history-remove = Leave out { $name }
history-range = Range
history-days = { $n ->
    [1] 24 hours
   *[other] { $n } days
  }
history-from = From day
history-to = To day
history-dates-wrong = The first day must not be after the last.
history-bucket = Summed up by
bucket-auto = single readings
bucket-15min = 15 minutes
bucket-1h = hour
bucket-1d = day
bucket-1w = week
bucket-1month = month
history-chart = { $n } series from { $from } to { $to }. Lowest, highest and latest values are in the table below.
history-band = Line: mean; band: lowest to highest
history-thinned = Not every reading is drawn; the lowest and highest always are.
history-empty = No reading in this range.
history-damaged = { $n } damaged parts of the history in this range: what they held is missing.
history-table = Values in this range
history-of-series = Series
history-low = Lowest
history-high = Highest
history-last = Latest
history-n = Readings
history-flagged = Flagged
history-download = Download
history-download-note = With the series, the range and the summing up chosen above; times by the farm's clock ({ $zone }).
format-csv = CSV
format-csv-excel = CSV for Excel
format-csv-excel-vi = CSV for Excel
format-xlsx = Excel (XLSX)
format-parquet = Parquet

## What a person asks for

start = Irrigate
start-zone = Irrigate { $zone }
start-title = Irrigate { $zone }
start-choices = Choose the minutes
start-minutes = Minutes (1 to { $max })
start-note = The valve closes by itself when the time is over, even without a network.
start-confirm = Irrigate { $minutes } min
stop = Stop
stop-zone = Stop irrigating { $zone }
extend = More minutes
extend-zone = More minutes for { $zone }
extend-title = Irrigate { $zone } longer
extend-minutes = Minutes more (1 to { $max })
extend-note = It may still end before, when the soil is wet enough. The valve closes by itself when the time is over, even without a network.
extend-confirm = { $minutes } min longer
extend-longest = This run is as long as a run of this zone may be: { $max } minutes.
stop-all = Stop all
stop-all-title = Stop irrigation in every zone?
stop-all-note = Every open valve is closed. After a rest, a zone whose soil is still dry may start again by itself; lock it to keep its valve closed.
stop-all-yes = Stop all
irrigated = Irrigated by hand
irrigated-zone = Irrigated by hand: { $zone }
irrigated-title = { $zone } was irrigated by hand
irrigated-litres = Litres (leave empty if not known)
irrigated-note = For water by hose, or by a valve turned in the field. It is written into the diary, and the zone rests as after a run. No valve opens.
irrigated-yes = Write it down
lock = Lock
lock-zone = Lock { $zone }
lock-title = Lock { $zone }
lock-note = Nothing opens the valve of a locked zone until somebody unlocks it. A run in progress stops at once.
lock-why = Reason (optional)
unlock = Unlock
unlock-zone = Unlock { $zone }
unlock-title = Unlock { $zone }?
unlock-note = Once unlocked, this zone may be irrigated at once if its soil is dry. Make sure that nobody is working on its pipes or valve.
clear = Clear fault
clear-zone = Clear fault of { $zone }
sources = Water sources
pump-pump = Pump
pump-master-valve = Master valve
pump-state-on = on
pump-state-off = off
pump-state-starting = being switched on
pump-state-stopping = being switched off
pump-state-unknown = not known
clear-source = Clear fault of { $source }
clear-source-title = Clear fault of { $source }?
clear-source-note = Clear a fault only after looking at pump, tank and pipes. Everything that this source feeds may be irrigated again afterwards.
clear-title = Clear fault of { $zone }?
clear-note = Clear a fault only after looking at the valve and the node in the field. The zone may be irrigated again afterwards.

## Programs

no-programs = There is no program yet. Declare programs in the configuration file.
next-start = Next by the calendar
next-never = no start ahead
program-ready = Switched on.
program-invalid = It cannot run: { $problem }.
program-running = Running, planned to end at { $time }.
program-off = Switched off.
program-suspended = Paused until { $time }.
program-skipping = Skips { $n ->
    [1] its next start
   *[other] its next { $n } starts
  }.
program-adjusted = Gives { $percent } % of its amounts.
program-do-start = Start now
program-do-skip = Skip next
program-do-unskip = Do not skip
program-do-adjust = Adjust
program-do-suspend = Pause
program-do-resume = Go on
program-do-off = Switch off
program-do-on = Switch on
program-start-title = Start program { $program } now?
program-start-note = The valves of this program open one after another, also outside the allowed hours. Locked and faulty zones stay closed. Make sure that nobody is working on pipes or valves.
program-suspend-title = Pause program { $program }
plot = Plot
planting-area-code = Planting area code
zone-suspended = No automatic irrigation here until { $time }.
zone-suspend = Pause automatic irrigation here
zone-suspend-zone = Pause automatic irrigation in { $zone }
zone-suspend-note = Until then neither programs nor soil moisture nor rules start this zone. What runs by itself stops. People can still start it; lock it to keep its valve closed.
program-suspend-note = Until then this program does not start by itself. The zone in progress is finished; zones that still wait are left out.
adjust = Set
adjust-title = Adjust program { $program }
adjust-percent = Per cent of the planned amounts (0 to { $max })
adjust-choices = Choose the percentage
adjust-note = Replaces the present adjustment from the next start on.
adjust-nothing = With 0 % this program gives nothing.
adjust-confirm = Give { $percent } %
pauses = Pauses of the whole farm
pauses-note = Rain delay and pause hold back all that starts by itself: programs, soil moisture and rules. What runs by itself stops. People can still water; pause the water, or lock a zone, to keep valves closed.
pause = Pause
pause-rain = Rain delay
pause-rain-title = Delay automatic irrigation because of rain
pause-farm = Pause
pause-farm-title = Pause automatic irrigation
pause-water = Water
pause-water-title = Pause all water
pause-water-note = What runs stops now and goes on afterwards; no valve opens meanwhile. A zone irrigated by soil moisture starts again when its soil is dry.
pause-none = Not set.
pause-until = No irrigation until { $time }
pause-end = End it
pause-change = Change
pause-days = Days (1 to { $max })
pause-choices-days = Choose the days
pause-minutes = Minutes (1 to { $max })
pause-choices-minutes = Choose the minutes
pause-choice-minutes = { $n } min
pause-choice-days = { $n ->
    [1] 1 day
   *[other] { $n } days
  }
preview-title = Next { $days } days
preview-note = If nothing changes. Runs stand where the water has room for them; zones that start by their soil, and people, may delay them.
preview-empty = No program starts in the next { $days } days.
preview-under-way = under way
preview-zone = { $zone }: { $span }, from { $time }
preview-portions = (in { $n } portions)
preview-skipped = Not irrigated.
preview-zone-skipped = { $zone } is not irrigated.
preview-short-title = Not all of it will fit
preview-short-note = Pipes, hours and turns have no room for this water. Move a start, allow more hours, or give less.
preview-short = { $day }: { $zone } will lack { $span } of program { $program }
preview-short-litres = { $day }: { $zone } will lack { $span } ({ $litres }) of program { $program }
preview-cut-short = Program { $program } starts too often: only its first starts are shown here.

## Run now

run-now = Run now
run-now-zones = Zones
run-now-all = All zones
run-now-none = None
run-now-nothing = Choose at least one zone.
run-now-waits = { $zone } waits. { $reason }
run-now-care = Make sure that nobody is working on pipes or valves.
once-title = Irrigate once
once-note = Each chosen zone gets its minutes as soon as pump and pipes have room for it. Locked and faulty zones cannot be chosen.
once-minutes = Minutes for { $zone } (1 to { $max })
once-unit = min
once-sum = { $n ->
    [1] 1 zone, { $span }.
   *[other] { $n } zones, { $span } in all.
  }
once-do = Irrigate
once-ask = Irrigate { $n ->
    [1] 1 zone
   *[other] { $n } zones
  } once?
once-taken = The gateway has taken it. The list above shows each valve as it is confirmed; the diary says why a zone was left out.
test-title = Test valves
test-note = Valves open one after another for a short time, so that somebody can walk along and look. Locked and faulty zones cannot be chosen.
test-seconds = Seconds for each valve (1 to { $max })
test-sum = { $n ->
    [1] 1 valve, { $span }.
   *[other] { $n } valves, about { $span } in all, with a break after each.
  }
test-do = Test
test-ask = Test { $n ->
    [1] 1 valve
   *[other] { $n } valves
  }?
test-taken = The gateway has taken the test. The list above shows each valve as it is confirmed; the diary says why a zone was left out.

## Rules

rules = Rules
no-rules = There is no rule yet. Rules are written in the farm's settings.
rule-off = Switched off.
rule-active = It has fired and is not over.
rule-pending = It will fire at { $time } if this goes on.
rule-holds = Its condition holds.
rule-unknown = Nobody knows whether its condition holds: { $input } is missing or too old.
rule-quiet = Its condition does not hold.
rule-never-fired = It has not fired yet.
rule-fired = Last fired: { $time }.
rule-fired-often = { $n } times within a day.
rule-when = When
rule-sees = What it reads at the moment
rule-then = Then
rule-then-notify = Tell people: { $note }
rule-then-start = Irrigate { $zone } for { $run_s }
rule-then-stop = Stop irrigating { $zone }
rule-then-lock = Lock { $zone }
rule-then-adjust = Set program { $program } to { $percent } % of its amounts
rehearsal-title = Try the rules on past days
rehearsal-note = The rules are gone through with what was measured. No valve opens, and nobody is told.
rehearsal-days = Last days (1 to { $max })
rehearsal-rule = Rule
rehearsal-all = All that are switched on
rehearsal-try = Try
rehearsal-sum = { $n ->
    [0] None would have fired
    [1] 1 firing
   *[other] { $n } firings
  } from { $from } to { $to }.
rehearsal-cut = Here are the first { $n }.

## Confirmed state of a valve

state-idle = Valve closed
state-waiting = Waiting
state-sent = Command sent
state-accepted = Command accepted
state-open = Irrigating
state-closing = Closing
state-unknown = Valve unknown
state-fault = Fault
state-locked = Locked
state-sent-long = The command to open was sent; waiting for the node. The valve is not open yet.
state-accepted-long = The node accepted the command; waiting for the valve to be confirmed open.
state-closing-long = The command to close was sent; waiting for the node. Water may still flow.
state-unknown-long = It is not known whether the valve is open: waiting for the node to report.

## Quality of a reading

quality-good = Good
quality-stale = Too old
quality-missing = Missing
quality-out-of-range = Out of range
quality-jump = Implausible jump
quality-stuck = Stuck
quality-no-response = Stays dry when watered
quality-faulty = Sensor fault
quality-ahead = Dated in the future
quality-age-unknown = Age unknown
quality-unstable = Too unsteady
quality-uncalibrated = Not calibrated
quality-uncertain-time = Uncertain time

## Diary

event-started = Irrigation started
event-confirmed = Valve open
event-stopping = Irrigation stopping
event-stopped = Irrigation stopped
event-reported = Reported afterwards
event-scheduled = Irrigation planned
event-adjusted = Changed
event-notified = Notice
event-skipped = Not irrigated
event-refused = Refused
event-fault = Fault
event-cleared = Fault cleared
event-node = Node
event-locked = Locked
event-unlocked = Unlocked
by-engine = Automatic
by-node = Reported by the node
by-rule = Rule { $name }
by-program = Program { $name }
by-person = By { $name }
somebody = somebody unnamed
person-admin = the administrator
ran-for = Ran { $span }
diary-empty = Nothing in the diary yet.
diary-zone = Diary of
diary-kind = What
diary-everything = Everything
diary-water = Irrigation
diary-missed = Not irrigated, refused
diary-faults = Faults
diary-nodes = What nodes tell
diary-changes = Programs, changes, notices
all-zones = All zones
whole-farm = Every zone
older = Show older
time-unknown = time unknown

## Nodes

node-online = Online
node-offline = Offline
node-id = Node id
node-json = other device (JSON)
node-station = station with its own clock
node-unregistered = not registered
last-seen = Last seen
battery = Battery
node-restart = Last restart
node-restart-text = { $time }: { $restart }
node-restless = { $n } restarts within a day because something failed. Look at the node's supply and cables.
node-lost = Readings lost
node-lost-text = { $n } between { $from } and { $to }: its memory was full
node-lost-all = { $n } in all
never = never
no-nodes = There is no node yet.

## What is measured

metric-soil-moisture = soil moisture
metric-soil-vwc = soil water content
metric-soil-temperature = soil temperature
metric-soil-ec = soil conductivity
metric-soil-tension = soil water tension
metric-air-temperature = air temperature
metric-relative-humidity = air humidity
metric-rain = rain
metric-air-pressure = air pressure
metric-wind-speed = wind speed
metric-solar-radiation = solar radiation
metric-vapour-pressure-deficit = vapour pressure deficit
metric-battery = battery
metric-battery-mv = battery
metric-flow = flow
metric-water-volume = water through the meter
metric-tank-level = tank level
metric-tank-float = tank float
metric-pressure-switch = pressure switch
metric-battery-charge = battery charge
metric-soil-ph = soil pH
metric-soil-nitrogen = soil nitrogen (for reference)
metric-soil-phosphorus = soil phosphorus (for reference)
metric-soil-potassium = soil potassium (for reference)
metric-soil-salinity = soil salinity
metric-soil-tds = dissolved solids in the soil
metric-soil-permittivity = soil permittivity

## Crops

crop-plum = Hậu plum
crop-dragon-fruit = Dragon fruit
crop-mango = Mango
crop-longan = Longan
crop-coffee = Coffee
crop-tea = Tea
crop-passion-fruit = Passion fruit
crop-strawberry = Strawberry
crop-plum-bare = Plum, no ground cover, no frost
crop-plum-frost-bare = Plum, no ground cover, killing frost
crop-plum-cover = Plum, active ground cover, no frost
crop-coffee-bare = Coffee, bare ground
crop-coffee-weeds = Coffee, with weeds
crop-tea-shaded = Tea, shaded
crop-banana2 = Banana 2nd year
crop-citrus70 = Citrus 70% canopy, no ground cover
crop-avocado = Avocado, no ground cover
crop-pineapple-bare = Pineapple, bare soil
crop-pear = Pear, no ground cover, no frost
crop-maize = Maize (grain)
crop-soybean = Soybean
crop-groundnut = Groundnut
crop-potato = Potato
crop-sweet-potato = Sweet potato
crop-cassava = Cassava (year 1)
crop-tomato = Tomato
crop-cabbage = Cabbage
crop-sugarcane-ratoon = Sugarcane (ratoon)

## Units and moments

unit-s = { $n } s
unit-min = { $n } min
unit-h = { $n } h
unit-day = { $n } d
unit-litre = { $n } L
litres-unknown = nobody knows how much
ago-now = just now
ago = { $span } ago
moment-yesterday = yesterday { $time }
moment-tomorrow = tomorrow { $time }
moment-date = { $date } { $time }
day = { $weekday } { $date }
day-today = today, { $date }
day-tomorrow = tomorrow, { $date }
weekday-1 = Monday
weekday-2 = Tuesday
weekday-3 = Wednesday
weekday-4 = Thursday
weekday-5 = Friday
weekday-6 = Saturday
weekday-7 = Sunday

## Why: each code of the irrigation engine

reason-soil-dry = Soil is dry: moisture { $moisture }, below { $start_below }.
reason-soil-moist = Soil is not dry yet: moisture { $moisture }, not below { $start_below }.
reason-soil-wet = Soil is wet enough: moisture { $moisture }, above { $stop_above }.
reason-soil-depleted = { $depleted } of the soil's available water is used up, more than { $start_depleted } (moisture { $moisture }).
reason-soil-not-depleted = { $depleted } of the soil's available water is used up, not more than { $start_depleted } (moisture { $moisture }).
reason-soil-refilled = The soil is filled up: { $depleted } of its available water is missing, less than { $stop_depleted } (moisture { $moisture }).
reason-soil-tense = Soil is dry: tension { $tension_kpa } kPa, above { $start_above_kpa } kPa.
reason-soil-not-tense = Soil is not dry yet: tension { $tension_kpa } kPa, not above { $start_above_kpa } kPa.
reason-soil-relaxed = Soil is wet enough: tension { $tension_kpa } kPa, below { $stop_below_kpa } kPa.
reason-run-time-reached = The run has had its { $run_s }.
reason-lease-renewed = Irrigation goes on for { $run_s } more.
reason-manual-start = Somebody started irrigation for { $run_s }.
reason-program-start = Program { $program } has started: { $run_s } of irrigation in all.
reason-program-run = Program { $program }: { $run_s }, portion { $cycle } of { $n_cycles }.
reason-program-stop = Somebody stopped program { $program }.
reason-unknown-program = There is no program { $program }.
reason-program-adjusted = Program { $program } gives { $percent } % of its amounts from its next start.
reason-program-not-started = The start of program { $program } was refused.
reason-program-adjusted-from = Program { $program } gives { $percent } % of its amounts from its next start, { $was_percent } % before.
reason-program-paused-from = Program { $program } is paused, { $remaining_s } to go; the pause before had { $was_s } to go.
reason-program-resumed-from = Program { $program } goes on; its pause had { $was_s } to go.
reason-program-skipping-from = Somebody has the next starts of program { $program } skipped: { $left }, before { $was_left }.
reason-program-enabled = Program { $program } is switched on.
reason-program-switched-off = Program { $program } is switched off.
reason-program-paused = Program { $program } is paused, { $remaining_s } to go.
reason-program-resumed = The pause of program { $program } is over.
reason-program-skipping = Somebody has the next starts of program { $program } skipped: { $left }.
reason-rule-run = Rule { $rule } waters for { $run_s }: { $values }.
reason-rule-stop = Rule { $rule } stops it: { $values }.
reason-rule-lock = Rule { $rule } locked this zone: { $values }.
reason-rule-adjusted-from = Rule { $rule } sets program { $program } to { $percent } % of its amounts, { $was_percent } % before: { $values }.
reason-rule-adjusted = Rule { $rule } sets program { $program } to { $percent } % of its amounts: { $values }.
reason-rule-notice = { $note } (rule { $rule }: { $values })
reason-rule-tired = Rule { $rule } has come true { $times_max } times within 24 hours and rests until those are over.
reason-pause-ended = The farm's pause is over.
reason-rain-delay-ended = The rain delay is over.
reason-water-pause-ended = The pause of all water is over; what was interrupted goes on.
reason-zone-pause-ended = The pause of this zone is over.
reason-manual-stop = Somebody stopped irrigation.
reason-stop-all = Somebody stopped all irrigation.
reason-local-run = Somebody opened the valve with the button at the node.
reason-not-automatic = This zone does not start by its soil: it is irrigated by programs and by hand only.
reason-invalid-plan = The settings of this zone are wrong: { $problem }.
reason-unknown-zone = There is no zone { $zone }.
reason-already-running = This zone is being irrigated already.
reason-valve-closing = The valve of this zone is closing; wait until it is closed.
reason-valve-unknown = It is not known whether the valve is open since the gateway started.
reason-stale-reading = The reading of { $device } ({ $metric }) is too old: { $age_s }, trusted for { $fresh_s }.
reason-no-reading = There is no reading of { $device } ({ $metric }) yet.
reason-faulty-reading = The probe { $device } ({ $metric }) reports a fault.
reason-reading-ahead = The reading of { $device } ({ $metric }) is dated { $ahead_s } in the future: a clock is wrong.
reason-age-unknown = It is not known how old the reading of { $device } ({ $metric }) is (gateway or node has just restarted, or a backlog is coming in): waiting for a new one.
reason-implausible-reading = The reading { $moisture } of { $device } ({ $metric }) is implausible, expected { $min } to { $max }.
reason-probe-jump = The reading of { $device } ({ $metric }) jumped from { $from } to { $to }; at most { $rate_max } in 5 min is plausible.
reason-implausible-tension = The reading { $tension_kpa } kPa of { $device } ({ $metric }) is implausible, expected { $least_kpa } to { $most_kpa } kPa.
reason-tension-jump = The reading of { $device } ({ $metric }) jumped from { $from_kpa } to { $to_kpa } kPa; at most { $rate_max_kpa } kPa in 5 min is plausible.
reason-probes-disagree = { $probe } says { $moisture } and { $other_probe } says { $other_moisture }: they may differ by { $apart_max }, so the soil starts nothing.
reason-tensions-disagree = { $probe } says { $tension_kpa } kPa and { $other_probe } says { $other_kpa } kPa: they may differ by { $apart_max_kpa } kPa, so the soil starts nothing.
reason-no-response = { $device } ({ $metric }) still says dry after { $times } irrigations in a row, so it decides nothing.
reason-probe-stuck = The reading of { $device } ({ $metric }) has not moved for { $same_s }, longer than { $stuck_s }.
reason-outside-window = Outside the allowed hours ({ $from_min } to { $to_min }).
reason-no-water-window = No water may flow between { $from_min } and { $to_min }.
reason-run-cut = The allowed hours end: irrigated for { $run_s } instead of { $wanted_s }.
reason-run-moved = The run waits { $late_s } for the allowed hours.
reason-window-too-short = No allowed hours within a day are long enough for { $wanted_s } of irrigation.
reason-run-limited = The zone's limits make the run { $run_s } instead of { $wanted_s }.
reason-pump-least-run = For { $source } to run its least time, the run is { $run_s } instead of { $wanted_s }.
reason-below-threshold = { $wanted_s } is too short to be worth opening the valve, at least { $least_s } is.
reason-refill = The soil lacks { $lack_mm } of { $available_mm } mm; it gets { $gross_mm } mm.
reason-enough-water = The soil lacks only { $lack_mm } of { $available_mm } mm; it is refilled from { $start_mm } mm on.
reason-balance-stale = What the soil lacks was counted { $age_s } ago; that holds for { $fresh_s }.
reason-balance-unknown = What the soil lacks cannot be counted: { $cause }
reason-balance-ahead = What the soil will lack then is known on the day itself.
reason-weather-guessed = The weather of { $n_days } days is missing; the mean of the days before stands in for it.
reason-adjusted-to-nothing = Season and adjustment leave nothing to irrigate.
reason-step-disabled = This step of the program is switched off.
reason-program-disabled = This program is switched off.
reason-program-busy = The program's last start is not over, { $remaining_s } to go.
reason-soil-goes-on = The pause of water is over; irrigation goes on until the soil is wet enough.
reason-water-paused = Somebody paused all water, { $remaining_s } to go; what ran goes on afterwards.
reason-suspended = Somebody paused irrigation, { $remaining_s } to go.
reason-rain-delay = Delayed because of rain, { $remaining_s } to go.
reason-skipped-by-person = Somebody skipped this start; { $left } more will be skipped.
reason-missed-start = The start was missed: { $late_s } late; it is made up for within { $catch_up_s }, and only the newest one.
reason-finish-too-long = The program needs { $needed_s }, more than the day there is before its time to finish: it does not start.
reason-finish-late = It ends { $late_s } after its program is to be finished.
reason-finish-too-near = The program needs { $needed_s } and only { $left_s } are left before its time; it waits for the next day.
reason-clock-unset = The gateway's clock is not set.
reason-source-busy = The water source is taken by { $zone }.
reason-capacity-full = { $source } carries no more: { $in_use_l_per_h } L/h of { $capacity_l_per_h } L/h are in use, this zone takes { $wanted_l_per_h } L/h.
reason-capacity-kept = The water is kept for { $zone }, which has waited longest.
reason-program-turn = { $zone } is not done yet: the program waters the zones of this group one after another.
reason-unknown-source = There is no source { $source } with a pump or master valve that is switched from here.
reason-staggered = Another zone of { $source } has just started; { $remaining_s } until the next.
reason-pump-start = A zone draws water, so { $source } is switched on.
reason-pump-not-needed = No zone draws water any more, so { $source } is switched off.
reason-pump-uncovered = No valve is open for certain, so { $source } is switched off.
reason-pump-refused = The node of { $source } refused the command: { $refusal }.
reason-pump-stopping = { $source } is being switched off; the next zone waits until it is.
reason-pump-resting = { $source } rests between two starts, { $remaining_s } to go.
reason-pump-starts-used = { $source } has had its { $starts } starts of this hour, { $remaining_s } to go.
reason-pump-lead = The master valve of { $source } opens first; the zone follows in { $remaining_s }.
reason-pump-longest-run = The node keeps { $source } on for at most { $most_s } at a time, so it is switched off shortly before, and on again after its rest while water is wanted.
reason-pump-started-locally = Somebody switched { $source } on at its node; it is switched off, because no valve is known to be open for it.
reason-source-fault = A fault of { $source } has not been cleared: { $fault }.
reason-source-paused = { $source } rests after { $failures } failures in a row, { $remaining_s } to go.
reason-source-cleared = Somebody cleared the fault of { $source } after a check.
reason-flow-confirmed = Water flows: { $flow_l_per_h } L/h.
reason-high-flow = { $flow_l_per_h } L/h flow instead of { $expected_l_per_h } L/h: a line has burst or come off.
reason-low-flow = Only { $flow_l_per_h } L/h flow instead of { $expected_l_per_h } L/h: a filter or lines are clogged.
reason-no-flow = No water flows ({ $flow_l_per_h } L/h, expected { $expected_l_per_h } L/h): check valve, pump and gates.
reason-leak-after-close = { $flow_l_per_h } L/h flow although the valve was closed; it is closed again (time { $attempts }).
reason-valve-stuck-open = { $flow_l_per_h } L/h flow although the valve was closed several times.
reason-volume-reached = The run has taken its { $volume_l } L.
reason-source-high-flow = { $source } gives { $flow_l_per_h } L/h, its zones should take { $expected_l_per_h } L/h: a pipe has burst.
reason-source-low-flow = { $source } gives only { $flow_l_per_h } L/h, its zones should take { $expected_l_per_h } L/h.
reason-source-no-flow = { $source } gives no water ({ $flow_l_per_h } L/h, expected { $expected_l_per_h } L/h).
reason-source-closed-again = { $source } gives { $flow_l_per_h } L/h although all valves are closed; each of them is closed again (time { $attempts }).
reason-unscheduled-flow = { $source } gives { $flow_l_per_h } L/h although all valves are closed: a leak.
reason-tank-low = The level of { $source } is too low: { $level }{ $unit }, it gives nothing below { $least }{ $unit } and gives again from { $resume }{ $unit }.
reason-tank-unknown = The level of { $source } is not known.
reason-pressure-low = The pressure behind { $source } is too low: { $pressure_kpa } kPa, at least { $min_kpa } kPa is right.
reason-pressure-high = The pressure behind { $source } is too high: { $pressure_kpa } kPa, at most { $max_kpa } kPa is right.
reason-meter-silent = The meter { $device } ({ $metric }) has said nothing for { $hours } h although water flowed: nothing watches the flow, runs end by time.
reason-gauge-silent = { $device } ({ $metric }) has said nothing for { $hours } h: its guard is off.
reason-gauge-speaks = { $device } ({ $metric }) speaks again.
reason-rained = { $rain_mm } mm of rain within { $hours } h, { $limit_mm } mm are enough.
reason-rain-contact = It rains, or has just rained.
reason-soil-contact = The soil contact reports wet soil, or has just done so.
reason-frost = Too cold: { $temperature_c } °C, nothing is watered below { $below_c } °C; water flows again from { $clear_c } °C.
reason-run-extended = Somebody made the run { $by_s } longer; it is { $run_s } now.
reason-run-longest = The run is as long as it may be: { $run_s }.
reason-not-running = This zone is not being irrigated.
reason-irrigated-by-hand = Somebody irrigated by hand for { $run_s }, { $litres }.
reason-volume-short = Only { $had_l } L of { $wanted_l } L have flowed in { $run_s }.
reason-waited-too-long = The run waited { $late_s } for its turn; { $run_s } are not given.
reason-window-over = The hours were over before the run had its turn: it waited { $late_s }; { $run_s } are not given.
reason-turn-awaited = Other zones have the water before it: { $late_s } later.
reason-cannot-fit-today = Not all of { $program } fits into today: { $short_s } ({ $short_l } L) will be missing here.
reason-run-split = The node waters for { $most_s } at the most at a time; the other { $run_s } follow after a pause.
reason-run-split-by-plan = The zone's longest run is { $most_s }, with the time that its pump needs to go off first; the other { $run_s } follow after a pause.
reason-started-late = It begins { $late_s } later than planned.
reason-run-rest = The run did not get all its water; the other { $run_s } follow.
reason-run-resumed = The run of { $program } was interrupted; { $run_s } of it are made up for.
reason-test-started = Somebody has { $n_zones } valves tested, { $run_s } in all.
reason-once-started = Somebody has { $n_zones } zones irrigated once, { $run_s } in all.
reason-valve-test = The valve is tested for { $run_s }, { $cycle } of { $n_cycles }.
reason-run-once = Somebody wants { $run_s } of irrigation once.
reason-diagnosis-started = { $source } gave too much water: its { $n_zones } open zones are tested one after another.
reason-diagnosing = The zones of { $source } are being tested after it gave too much water.
reason-minimum-off = Resting between two runs, { $remaining_s } to go.
reason-rest-after-stop = { $by } stopped it; automatic irrigation rests for { $remaining_s } more.
reason-locked = { $by } locked this zone. { $note }
reason-unlocked = Somebody unlocked this zone.
reason-fault-cleared = Somebody cleared the fault after a check.
reason-node-offline = Node { $node } is offline.
reason-command-unanswered = The node has not answered for { $waited_s }; sent { $attempts }×.
reason-command-refused = The node refused the command: { $refusal }.
reason-quarantined = Resting after { $failures } failures in a row, { $remaining_s } to go.
reason-unresolved-fault = A fault has not been cleared: { $fault }.
reason-valve-not-confirmed = The node took the command, but after { $waited_s } it has not reported the valve open.
reason-closed-by-node = The node closed the valve by itself: { $close }.
reason-valve-found-closed = The node reported the valve closed without saying why.
reason-unexpected-open = The valve was open without a command from here (command { $command }).
reason-valve-silent = Nothing was heard of the valve for { $waited_s }, longer than its longest run.
reason-farm-saved = Version { $version } of the farm was saved: { $n_added } lines added, { $n_removed } removed (text { $hash }). { $note }
reason-farm-in-force = The gateway runs by version { $version } of the farm.
reason-farm-changed = Version { $version } of the farm changes this: it is closed before that version takes over.
reason-valve-of-no-zone = Valve { $valve } of node { $node }, which no zone has, was open.
reason-farm-conflict = Somebody saved version { $version } of the farm meanwhile.
reason-farm-needs-restart = What was changed needs a start of the gateway: { $keys }.
reason-node-restarted = Node { $node } began anew: { $restart }. It is its boot { $epoch }; boots right before it that were not heard of here: { $n_unheard }.
reason-node-restless = Node { $node } began anew { $n_restarts } times within a day because something failed; the last time: { $restart }.
reason-readings-lost = The memory of node { $node } was full, and { $n_records } of its oldest records are lost: what it measured between { $from_at } and { $to_at }.
reason-gateway-stopping = The gateway is stopping, so it closes what it had opened.
reason-gateway-restarted = The gateway has just restarted and closes every valve that it cannot account for.

## Why a person's wish was refused, in short

short-source-busy = The water source is taken by another zone.
short-capacity-full = The pump or pipe carries no more at the moment.
short-capacity-kept = The water is kept for another zone that has waited longest.
short-program-turn = The zone before in the program is not done yet.
short-locked = This zone is locked.
short-node-offline = The valve's node is offline.
short-quarantined = This zone is resting after several failures.
short-unresolved-fault = This zone has a fault that has not been cleared.
short-invalid-plan = The settings of this zone are wrong.
short-minimum-off = This zone is resting between two runs.
short-busy = The gateway is reading the history for others; try again in a minute.
short-unavailable = The gateway is stopping or has too much to do; try again.
short-internal = Something failed in the gateway; its log says what.
short-unknown-zone = There is no such zone.

## Short names of faults

fault-high-flow = too much water flows
fault-low-flow = too little water flows
fault-no-flow = no water flows
fault-valve-stuck-open = water flows through the closed valve
fault-leak-after-close = water flows after closing
fault-source-high-flow = the source gives too much water
fault-source-low-flow = the source gives too little water
fault-source-no-flow = the source gives no water
fault-unscheduled-flow = water flows with all valves closed
fault-pressure-low = the pressure is too low
fault-pressure-high = the pressure is too high
fault-pump-refused = the pump's node refused a command
fault-pump-started-locally = the pump was switched on at its node
fault-valve-found-closed = the valve was found closed
fault-command-unanswered = the node did not answer
fault-command-refused = the node refused a command
fault-valve-not-confirmed = the valve did not report open
fault-closed-by-node = the node closed the valve by itself
fault-unexpected-open = the valve was open without a command
fault-valve-silent = nothing heard of the valve

## Why a valve closed by itself

close-lease-ended = its allowed time was over
close-volume-reached = the wanted volume has flowed
close-commanded = on command
close-hard-maximum = the node's own maximum was reached
close-local-button = somebody pressed the button at the node
close-boot = the node restarted
close-brown-out = the supply was weak
close-watchdog = the node hung and reset itself
close-panic = the node's software failed
close-fault = the valve driver reported a fault
close-unknown = for a reason that this version does not know

## Why a node refused a command

refusal-bad-mac = the signature is wrong
refusal-replayed = an old command was sent again
refusal-expired = the command came too late
refusal-misaddressed = the command was for another node
refusal-not-anchored = the node does not know the time yet
refusal-unknown-valve = the node has no such valve
refusal-lease-too-long = the run is longer than the node allows
refusal-malformed = the command could not be read
refusal-too-new = the command is of a newer version
refusal-busy = the node is busy
refusal-low-power = the supply cannot drive a valve
refusal-locked-locally = the valve is locked at the node
refusal-bad-setting = the node cannot use such a setting
refusal-unsupported = the node cannot do this
refusal-unknown = for a reason that this version does not know

## Why a node began anew

restart-power-on = power came on
restart-brown-out = the supply was weak
restart-watchdog = it hung and reset itself
restart-panic = its software failed
restart-software = somebody or something wanted it
restart-sleep = it woke up from its sleep
restart-unknown = for a reason that this version does not know

## Wrong settings

problem-unknown-source = the water source is not declared
problem-no-probe = there is no probe
problem-probe-twice = a probe is named twice
cause-not-counted = it has not been counted since the start.
cause-no-weather = there is no day with temperatures of the weather station since the season began.
cause-station-silent = the weather station has been silent for more than three days.
cause-invalid-season = the crop and the soil of this zone do not go together.
cause-implausible-day = a day of the weather station cannot be right.
problem-refill-in-total = a refill is no share of a total
problem-refill-twice = a zone is refilled more than once in a program
backtest-title = Try on past days
backtest-from = From
backtest-to = To
backtest-what = What
backtest-all = Thresholds and all programs
backtest-try = Try
backtest-runs = Runs
backtest-time = Time
backtest-stress = Stress days
backtest-sum = { $what }: { $n } runs, { $span }, { $m3 } m³, { $stress } days of water stress
backtest-really = What happened
backtest-open = The engine on the soil as it was read
backtest-closed = The engine on the soil that its own water would have made
backtest-bucket = The soil answers with { $gain } % per m³ after { $delay } h, runs over above { $over } and loses { $taken } a day (explains { $r2 } of the hourly changes).
no-bucket-tension = The soil is not modelled: tension does not answer to water in a straight line.
no-bucket-too-little-water = The soil is not modelled: too little was watered, and too little rain fell on ground of known area, on these days to learn how it answers.
no-bucket-too-few-readings = The soil is not modelled: there are too few readings on these days to learn how it answers.
no-bucket-no-answer = The soil is not modelled: its readings do not answer to the water that was given.
backtest-day = { $date }: { $really } m³ were given, { $trial } m³ in the trial
backtest-assumed-node-obeys = Assumed: the node obeys at once, and its valve opens and closes.
backtest-assumed-nothing-read = Nothing was read of this zone on these days: only what programs give by the calendar is shown.
backtest-assumed-pipes-free = Assumed: pump, tank and pipes are free; no person and no fault stood in the way.
backtest-assumed-soil-linear = Assumed: the soil answers to more or less water as it did to what it was given; under water stress plants take less.
backtest-assumed-soil-by-rain = Assumed: too little was given on these days, so what water does to the soil is taken from what rain did.
backtest-assumed-stress-by-soil = A stress day is one on which the soil is drier than field capacity less the share that this crop takes without stress.
backtest-assumed-stress-by-soil-of-any-crop = A stress day is one on which more than half of the soil's available water is used up; give the zone its crop for a better number.
backtest-assumed-stress-by-threshold = A stress day is one that is drier than the start threshold by which the farm is watered at present, whatever is tried; give the zone its soil for a better number.
backtest-assumed-stress-unknown = Stress days are not known: give the zone its soil, or field capacity and wilting point.
backtest-assumed-stop-never-reached = The stop threshold was never reached: each run of the thresholds lasted as long as the zone allows. Choose a stop threshold that this soil is read at after watering, or longer runs.
backtest-assumed-flow-unknown = Assumed: the zone takes 1000 L/h, because its flow is neither given nor measured; only times count.
backtest-assumed-litres-missing = Some runs have no litres, because nothing measured them.
balance-title = Water balance
balance-lack = The soil lacks { $lack } mm of { $available } mm.
balance-unknown = What the soil lacks is not known:
balance-guessed = Weather of { $n } days was guessed from the days before.
balance-placeholder = The coefficients of this crop are placeholders, not from a printed source.
balance-day = Day
balance-et0 = ET0, mm
balance-et = Crop, mm
balance-rain = Rain, mm
balance-given = Watered, mm
balance-end = Lacking, mm
et0-hargreaves = by temperature only
et0-guessed = guessed
problem-thresholds-crossed = the start threshold is not drier than the stop threshold
problem-tensions-too-close = the tensions for start and stop are too close together
problem-holds-no-water = the field capacity is not above the wilting point
problem-weights = weights of probes are missing, or all of them are zero
problem-hysteresis-too-small = the thresholds are too close together
problem-threshold-implausible = a threshold is outside the plausible range
problem-meter-shared = the meter belongs to another zone
problem-valve-shared = the valve belongs to another zone
problem-lease-zero = the lease of the valve is zero
problem-lease-above-run = the lease is longer than the longest run
problem-run-too-long = the longest run is too long
problem-fresh-zero = no reading could ever count as fresh
problem-stuck-below-fresh = a reading counts as stuck before it counts as old
problem-utc-offset = the offset from UTC is not valid
problem-timing = a waiting time is not valid
problem-source-loop = the water source feeds itself
problem-capacity-zero = the water source carries nothing
problem-flow-zero = the flow of the zone is zero
problem-flow-above-capacity = the zone takes more than its source carries
problem-stagger-too-long = the time between two starts is too long
problem-pump-output-shared = the output of the pump belongs to another zone or source
problem-pump-before-valves = the pump would run before its zones open or after they close
problem-pump-adjust = the pump is moved by more than ten minutes
problem-pump-span = a span of the pump is too long
problem-pump-lease-too-short = the lease of the pump is too short
problem-pump-master-lease = the lease of the master valve is too short for the pump on its way
problem-pump-longest-run = the longest run of the pump is not a span that a node allows
problem-pump-twice = two pumps or two master valves are on one way
problem-pump-zone-lease = the lease of the zone is too short for its pump
problem-guard-flow-limits = the flow limits contradict each other
problem-guard-span = a span of a guard is out of range
problem-guard-hysteresis = a guard ends its hold before it begins
problem-guard-volume-zero = the most that a run may take is nothing
problem-guard-pressure = the pressure limits are missing or crossed
problem-guard-rain = the rain's limit or hours are out of range
problem-empty = days, starts or zones are missing
problem-too-many = there are too many starts, steps, runs or programs
problem-out-of-range = a number is out of its range
problem-unknown-zone = the zone is not declared
problem-amount-zero = the amount is zero
problem-amount-too-large = the amount is too large
problem-no-flow = the flow of the zone is not known
problem-no-area = the area of the zone is not known
problem-no-plants = the plants of the zone have not been counted
problem-no-place = the farm's latitude and longitude are not known, so there is no time of the sun
problem-too-long-to-finish = it lasts longer than a day and cannot be over by a fixed time
problem-limits-crossed = the shortest run is longer than the longest

## What to do about each reason

do-nothing = Nothing to do.
do-soil-dry = { do-nothing }
do-soil-moist = { do-nothing }
do-soil-depleted = { do-nothing }
do-soil-not-depleted = { do-nothing }
do-soil-refilled = { do-nothing }
do-soil-tense = { do-nothing }
do-soil-not-tense = { do-nothing }
do-soil-relaxed = { do-nothing }
do-soil-wet = { do-nothing }
do-run-time-reached = { do-nothing }
do-lease-renewed = { do-nothing }
do-manual-start = { do-nothing }
do-program-start = { do-nothing }
do-program-run = { do-nothing }
do-program-stop = To go on, start the program again or wait for its next start.
do-unknown-program = Check the program's id in the configuration.
do-program-adjusted = Set it back to 100 % to give the planned amounts.
do-program-not-started = See the entry beside it for the reason.
do-program-adjusted-from = Set it back to what it was if that is not wanted.
do-program-paused-from = End the pause to water sooner.
do-program-resumed-from = { do-nothing }
do-program-skipping-from = Take the skip back if it is not wanted.
do-program-enabled = { do-nothing }
do-program-switched-off = Switch the program on if it is wanted.
do-program-paused = End the pause to water sooner.
do-program-resumed = { do-nothing }
do-program-skipping = Take the skip back if it is not wanted.
do-rule-run = { do-nothing }
do-rule-stop = Look at the rule and the readings that it goes by.
do-rule-lock = Look at the rule and the readings that it goes by, then unlock.
do-rule-adjusted-from = Set the program back to 100 % to give the planned amounts.
do-rule-adjusted = Set the program back to 100 % to give the planned amounts.
do-rule-notice = Do what the rule's notice says.
do-rule-tired = Look at the rule: let it wait (for_min, cooldown_min) or give it an end (until).
do-pause-ended = { do-nothing }
do-rain-delay-ended = { do-nothing }
do-water-pause-ended = { do-nothing }
do-zone-pause-ended = { do-nothing }
do-manual-stop = Start the zone to water again.
do-stop-all = Lock the zones to keep them closed for longer.
do-local-run = If nobody is at the node, go and look at its button and valve.
do-not-automatic = Set automatic = true for this zone in the configuration to let it start by itself.
do-invalid-plan = Mend this zone's settings in the configuration; giot doctor names the line.
do-unknown-zone = Check the zone's id in the configuration.
do-already-running = Wait for the run to end, or stop it first.
do-valve-closing = Wait some seconds and try again.
do-valve-unknown = Wait for the node's report; if none comes, check its power and signal.
do-stale-reading = Check the node's power and signal, and the probe's cable.
do-no-reading = Check that the probe is connected, and the names of device and metric in the configuration.
do-faulty-reading = Check the probe's cable and plug; replace it if it goes on.
do-reading-ahead = Check the clocks of the gateway and of the device.
do-age-unknown = Wait for a new reading; if none comes, check the node's power and signal.
do-implausible-reading = Check that the probe sits in soil and not in a puddle; calibrate it if needed.
do-implausible-tension = Check the probe for a broken wire, dry contact or air around it; a gypsum sensor is soaked and buried again.
do-tension-jump = Check whether somebody moved the probe or watered by other means; steady readings end this by themselves.
do-probe-jump = Check whether somebody moved the probe or watered by other means; steady readings end this by themselves.
do-probes-disagree = Look at both probes: which one is loose, dry around it or in a puddle? Meanwhile irrigate by a program or by hand.
do-tensions-disagree = { do-probes-disagree }
do-no-response = See whether water comes out near the probe and whether earth lies close around it. Set it into the wetted soil, then clear the zone's fault.
do-probe-stuck = Take the probe out and put it back; replace it if the value still stands.
do-outside-window = Wait for the hours, change them in the configuration, or start by hand.
do-no-water-window = Wait until these hours are over.
do-run-cut = Let the program start earlier, or widen its hours.
do-run-moved = { do-nothing }
do-window-too-short = Widen the hours, or give less at a time.
do-run-limited = Compare the program's amount with the zone's limits.
do-refill = { do-nothing }
do-enough-water = { do-nothing }
do-balance-stale = Check that the gateway runs and its disk is not full; it counts every ten minutes.
do-balance-unknown = Check the weather station; meanwhile, start the zone by hand or give a program fixed amounts.
do-balance-ahead = { do-nothing }
do-weather-guessed = Check the power and the connection of the weather station.
do-pump-least-run = Nothing to do; with a shorter least run of the pump, or longer amounts, it goes away.
do-below-threshold = Give more at a time, or less often.
do-adjusted-to-nothing = Check the program's seasonal and adjusted percentages.
do-step-disabled = Enable the step in the configuration if it is wanted.
do-program-disabled = Switch the program on if it is wanted.
do-program-busy = Wait for it, or set the starts further apart.
do-soil-goes-on = { do-nothing }
do-soil-contact = { do-nothing }
do-water-paused = End the pause to water sooner.
do-suspended = End the pause to water sooner.
do-rain-delay = End the delay if the rain did not come.
do-skipped-by-person = Take the skip back if it is not wanted.
do-missed-start = Start the program by hand if water is needed; find out why the gateway was off.
do-finish-too-long = Give less, or split the program.
do-finish-late = Set a later time to finish, start other programs at other times, or give less.
do-finish-too-near = Set a later time to finish, or give less.
do-clock-unset = Connect the gateway so that it gets the time, or set the machine's clock.
do-source-busy = Wait for the other zone, or state flows so that several may run together.
do-capacity-full = Wait, or check the flows and capacities that are stated.
do-capacity-kept = Wait: the other zone comes first.
do-program-turn = Wait; a zone that may run beside the others gets group = "parallel".
do-minimum-off = Wait until the rest is over.
do-rest-after-stop = Start by hand to water sooner.
do-locked = Unlock it when nobody works on pipes or valves any more.
do-unlocked = { do-nothing }
do-fault-cleared = { do-nothing }
do-node-offline = Check the node's power and signal.
do-command-unanswered = Check the node's power and signal; the valve closes by itself when its lease ends.
do-command-refused = See the node's reason below; if the signature is wrong, register the node again.
do-quarantined = Find what failed, then clear the fault to water again at once.
do-unresolved-fault = Look at valve and node in the field, then clear the fault.
do-valve-not-confirmed = Check the valve's cable and coil, and the node's supply.
do-closed-by-node = See the node's reason below; if it was the supply, check battery or power.
do-valve-found-closed = Check whether the node lost power.
do-unexpected-open = Look at the valve at once; if nobody opened it, check the node and give it a new key.
do-valve-silent = See that the valve is closed; check the node's power and signal.
do-farm-saved = The Farm screen and giot farm show say what was changed.
do-farm-in-force = { do-nothing }
do-farm-changed = Wait until it is closed. While its node is away, that is certain only when its longest possible run is over.
do-valve-of-no-zone = See who opens it; give it a zone if it waters something.
do-farm-conflict = Look at that version, then make your change from it.
do-farm-needs-restart = Put it into the file of giot serve --config, or use giot farm import while the gateway is stopped, and start the gateway.
do-gateway-stopping = Start the gateway again to go on watering.
do-node-restarted = Nothing to do after a power cut or a wanted restart. If it happens often, look at the node's supply and cables.
do-node-restless = Look at the node's battery, solar panel and cables. If its supply is good, note what it was doing and tell those who look after its software.
do-readings-lost = Look why the node had no network for so long; a longer measuring interval makes its memory last longer.
do-gateway-restarted = If the gateway restarts often, check its power.
do-diagnosing = Wait for the test to end; the zone at fault will be named.
do-diagnosis-started = Wait for the test to end; the zone at fault will be named.
do-flow-confirmed = { do-nothing }
do-frost = Wait until it is warmer; a person may still irrigate.
do-high-flow = Walk along the lines, mend what has burst or come off, then clear the fault.
do-irrigated-by-hand = { do-nothing }
do-leak-after-close = Look at the valve: dirt may hold it open.
do-low-flow = Clean the filter and flush the drip lines.
do-no-flow = Check gates, pump, and the valve's wires and coil, then clear the fault.
do-not-running = Start the zone first.
do-once-started = { do-nothing }
do-pressure-high = Check the pressure regulator and the relief valve.
do-pressure-low = Check filter and pump, and look for leaks in the mains.
do-pump-lead = { do-nothing }
do-pump-longest-run = Nothing to do. Where it is to run longer, let the node allow it, and state it as run_max_min.
do-pump-not-needed = { do-nothing }
do-pump-resting = Wait: the rest protects the pump.
do-pump-start = { do-nothing }
do-pump-refused = { do-command-refused }
do-pump-started-locally = To pump, start a zone: the pump follows.
do-pump-starts-used = Wait: the limit protects the pump.
do-pump-stopping = { do-nothing }
do-pump-uncovered = See whether the nodes whose valves were open can be reached.
do-rain-contact = { do-nothing }
do-meter-silent = Check the meter, its cable, and the power and signal of its node.
do-gauge-silent = Check the gauge, its cable, and the power and signal of its node.
do-gauge-speaks = { do-nothing }
do-rained = { do-nothing }
do-run-extended = { do-nothing }
do-run-longest = Start again when the run has ended, or raise run_max_min in the configuration.
do-run-once = { do-nothing }
do-volume-short = Clean the filter and the lines, check the pump; irrigate by hand what is missing.
do-waited-too-long = Give less, or let several zones run together: check flows and capacities that are stated.
do-window-over = Allow more hours, give less, or let several zones run together.
do-turn-awaited = { do-nothing }
do-cannot-fit-today = Move programs to other days, allow more hours, or give less.
do-run-split = Nothing to do; for one long run, set a longer maximum at the node.
do-run-split-by-plan = Nothing to do; for one long run, set a longer maximum for the zone (run_max_min).
do-started-late = { do-nothing }
do-run-rest = { do-nothing }
do-run-resumed = { do-nothing }
do-source-cleared = { do-nothing }
do-source-fault = Find and mend the cause, then clear the source's fault.
do-source-high-flow = Look for the burst in the mains, mend it, then clear the fault.
do-source-low-flow = Clean the filter, check the pump, look for leaks.
do-source-no-flow = Check pump, water level and gates, then clear the fault.
do-source-paused = Wait, or mend the cause and clear the fault.
do-staggered = { do-nothing }
do-tank-low = Fill the tank, or wait until it has filled.
do-tank-unknown = Check the node and the gauge of the level.
do-test-started = Go to each zone and see whether its valve opens and water flows.
do-unknown-source = Check the source's id in the configuration.
do-source-closed-again = Look whether a valve is stuck open or a pipe leaks.
do-unscheduled-flow = Look for a leak or a valve that is stuck open; shut the gate if need be.
do-valve-stuck-open = Shut the zone's gate by hand, mend the valve, then clear the fault.
do-valve-test = { do-nothing }
do-volume-reached = { do-nothing }

## Why, day by day

why-title = Why?
why-day = Day
why-yesterday = Yesterday
why-today = Today
why-watered = { $n ->
    [1] Watered once, { $span } in all.
   *[other] Watered { $n } times, { $span } in all.
}
why-watered-litres = { $n ->
    [1] Watered once, { $span } in all, { $litres }.
   *[other] Watered { $n } times, { $span } in all, { $litres }.
}
why-watering = Watering now.
why-begun-too = Another run began on this day and went on after midnight; its amount stands with the next day.
why-begun = Watering began on this day and went on after midnight.
why-not = Not watered. { $why }
why-moist = Not watered because the soil was not dry: moisture from { $low } to { $high }, watering begins below { $start }.
why-not-depleted = Not watered because enough water was left: { $low } to { $high } of the soil's available water were used up, watering begins above { $start }.
why-not-tense = Not watered because the soil was not dry: tension from { $low } to { $high } kPa, watering begins above { $start } kPa.
why-missed = Not watered. Program { $program } was due at { $due }, but the gateway was off, or its clock not right, until { $until }.
why-slept = Not watered. The gateway seems to have been off: nothing was kept on this day, and what it kept next was its restart at { $until }.
why-quiet = Not watered, and the diary has no cause. The gateway may have been off, or got no readings.
why-before-all = The diary begins later: what was watered on this day is not known.
why-future = This day has not come yet.
why-before = before

## Stores outside that get the history

sinks = Stores outside that get the history
sink-new = Not reached yet
sink-ok = Takes everything
sink-away = Cannot be reached
sink-busy = Too busy, tried again
sink-forbidden = Does not let us in: check the token
sink-unknown = Does not know the bucket
sink-rejecting = Refuses everything
sink-taken = Last sent
sink-waiting = Readings that wait
sink-oldest = the oldest of { $time }
sink-refused = Readings it refused

## The history's own health

disk-full = { store-disk-full } Watering goes on.
store-notes = The history itself
store-disk-low = Only { $free } MiB are free on the gateway's disk: make room before it is full.
store-disk-full = The gateway's disk is full: nothing more is stored, and nodes keep their readings until there is room.
store-over = The history takes { $used } MiB, { $allowed } MiB are allowed, and nothing is left that may go.
store-gave-readings = To make room, readings before { $before } were turned into hours and days on { $date }.
store-gave-hours = To make room, hours before { $before } were given up on { $date }; the days stay.
store-damaged = { $n } parts of the history were found damaged on { $date }. giot store check names them, giot store repair saves what can be read; a backup may hold more.
store-mended = A damaged part of the history was mended on { $date }; { $n } parts were lost.
store-mended-file = A damaged part of the history was mended on { $date }; { $n } parts were lost. The damaged file { $file } is kept beside it; giot doctor says what is lost and what to do.

## The farm's settings

nav-farm = Farm settings
farm-text = Settings as text
farm-intro = Everything that the gateway knows of the farm: sources, zones, programs, rules. What is saved is in force without a restart; runs of zones that did not change go on, and what is taken away is closed first.
farm-line = Line { $n }
farm-problems = { $n ->
    [1] 1 thing is wrong
   *[other] { $n } things are wrong
  }:
farm-sound = Nothing is wrong with this text.
farm-diff = What changes
farm-same = Nothing is different.
farm-line-added = added:
farm-line-removed = removed:
farm-review = Compare and save
farm-save = Save and run by it
farm-go-on = Go on writing
farm-undo = Undo all
farm-reload = Read again
farm-note = What it is about (optional)
farm-restart = These are taken in only when the gateway starts: { $keys }. Change them in the file of giot serve --config, or with giot farm import while the gateway is stopped.
farm-zones-removed = These zones are taken away, their valves are closed first: { $names }.
farm-remove-all = Yes, take every zone away.
farm-waits = Version { $n } is saved. It takes over when these are closed for certain: { $names }.
farm-history = Earlier versions
farm-version = Version { $n }
farm-in-force = in force
farm-never-in-force = Never in force.
farm-origin-page = { $by }, on the page.
farm-origin-command = { $by }, by giot farm.
farm-origin-file = { $by }, from { $file }.
farm-show = What it changed
farm-restore = Take it again
farm-restore-note = Version { $n } again
farm-no-versions = No version was saved yet.

## Messages to phones (gateway/src/messages)

message-before = and { $n } earlier ones in the irrigation diary
message-trial = A trial message from Giọt: messages arrive here.
