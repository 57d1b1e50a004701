# Lời của Giọt bằng tiếng Việt: trang web và mọi tin nhắn đều lấy từ đây.
# Số và ngày được định dạng trước rồi mới đưa vào, đơn vị đi kèm số. Mỗi mã trong tệp này cũng có trong en.ftl.

## Khung trang

nav = Các màn hình
nav-zones = Khu tưới
nav-programs = Lịch tưới
nav-history = Lịch sử
nav-diary = Nhật ký
nav-nodes = Trạm
language = Ngôn ngữ
farm-time = Giờ ở vườn
demo-badge = Thời gian mô phỏng ×{ $speed }
link-connecting = Đang kết nối
link-live = Trực tiếp
link-lost = Mất kết nối
loading = Đang tải…
retry = Thử lại
dismiss = Đóng
cancel = Huỷ
lost-title = Mất kết nối với thiết bị trung tâm.
lost-since = Số liệu bên dưới là số liệu cũ, tính đến { $time }.
lost-never = Chưa nhận được số liệu nào.
clock-unset = Đồng hồ của thiết bị trung tâm chưa được đặt: không tưới tự động cho đến khi có giờ đúng.
failed-unreachable = Không gửi được: thiết bị trung tâm không trả lời. Lệnh chưa được thực hiện.
failed-refused = Không thực hiện được: { $why }
failed-sign-in = Cần đăng nhập lại.
failed-too-many = Thử quá nhiều lần. Hãy đợi một lát rồi thử lại.
failed-other = Không thực hiện được (mã { $status }). { $detail }
sign-in = Đăng nhập
sign-out = Đăng xuất
sign-in-note = Nhập mã bí mật của thiết bị trung tâm. Mã nằm trong tệp admin-secret của thư mục dữ liệu.
sign-in-wrong = Mã bí mật không đúng.
secret = Mã bí mật

## Khu tưới

summary = Tóm tắt
summary-open = đang tưới
summary-waiting = đang chờ
summary-wrong = có lỗi
summary-nodes = trạm nối mạng
no-zones = Chưa có khu tưới nào. Hãy khai báo khu tưới trong tệp cấu hình.
zone-unknown = Không có khu tưới này.
recent = Vừa xảy ra
whole-diary = Xem toàn bộ nhật ký
details = Chi tiết
details-zone = Chi tiết { $zone }
moisture = Độ ẩm đất
no-value = Chưa có số đo
old-value = Số đo cũ
by-hand-only = chỉ tưới bằng tay
nothing-yet = Chưa có việc gì được ghi.
waiting-for = Đang chờ:
needs-person = Cần người kiểm tra:
open-by-hand = Đang tưới theo lệnh của người
open-by-itself = Đang tưới tự động
time-left = còn { $span }
start-below = Bắt đầu tưới khi dưới
stop-above = Dừng tưới khi trên
valve = Van tưới
valve-number = van { $n }
source = Nguồn nước
probes = Đầu dò
probe = Đầu dò
probe-name = { $device }, sâu { $depth } cm
value = Số đo
quality = Chất lượng
chart-title = Độ ẩm đất theo thời gian
chart-span = Khoảng thời gian
span-1 = 24 giờ
span-7 = 7 ngày
span-30 = 30 ngày
legend-run = Lúc tưới
legend-last = Số đo cuối
chart-moisture = Độ ẩm đất từ { $low } đến { $high } trong { $days ->
    [1] 24 giờ
   *[other] { $days } ngày
  } qua.
chart-empty = Không có số đo nào trong { $days ->
    [1] 24 giờ
   *[other] { $days } ngày
  } qua.
chart-no-runs = Không tưới lần nào.
chart-runs = Đã tưới { $n } lần, tổng cộng { $span }.
chart-litres = Lượng nước: { $litres }.
as-table = Xem dạng bảng
time = Thời gian
zone-diary = Nhật ký của khu này

## Lịch sử

history-title = Lịch sử
history-series = Chuỗi số đo
history-chosen = Đã chọn { $n }, nhiều nhất { $most }
history-filter = Tìm thiết bị hoặc đại lượng
history-more = Còn { $n } chuỗi nữa: hãy gõ một phần tên.
history-none = Chưa có số đo nào được lưu.
history-nothing-chosen = Hãy chọn ít nhất một chuỗi.
history-units = Một biểu đồ chỉ chứa được hai đơn vị: hãy bỏ bớt chuỗi.
history-remove = Bỏ { $name }
history-range = Khoảng thời gian
history-days = { $n ->
    [1] 24 giờ
   *[other] { $n } ngày
  }
history-from = Từ ngày
history-to = Đến ngày
history-dates-wrong = Ngày đầu không được sau ngày cuối.
history-bucket = Gộp theo
bucket-auto = từng số đo
bucket-15min = 15 phút
bucket-1h = giờ
bucket-1d = ngày
bucket-1w = tuần
bucket-1month = tháng
history-chart = { $n } chuỗi từ { $from } đến { $to }. Giá trị thấp nhất, cao nhất và mới nhất có trong bảng bên dưới.
history-band = Đường: trung bình; dải: thấp nhất đến cao nhất
history-thinned = Không vẽ hết mọi số đo; giá trị thấp nhất và cao nhất luôn được vẽ.
history-empty = Không có số đo nào trong khoảng này.
history-damaged = Có { $n } phần lịch sử bị hỏng trong khoảng này: số đo trong đó bị thiếu.
history-table = Giá trị trong khoảng này
history-of-series = Chuỗi
history-low = Thấp nhất
history-high = Cao nhất
history-last = Mới nhất
history-n = Số lần đo
history-flagged = Bị nghi ngờ
history-download = Tải về
history-download-note = Theo các chuỗi, khoảng thời gian và cách gộp đã chọn ở trên; giờ theo đồng hồ của vườn ({ $zone }).
format-csv = CSV
format-csv-excel = CSV cho Excel
format-csv-excel-vi = CSV cho Excel
format-xlsx = Excel (XLSX)
format-parquet = Parquet

## Lệnh của người

start = Tưới
start-zone = Tưới { $zone }
start-title = Tưới { $zone }
start-choices = Chọn số phút
start-minutes = Số phút (1 đến { $max })
start-note = Van tự đóng khi hết giờ, kể cả khi mất mạng.
start-confirm = Tưới { $minutes } phút
stop = Dừng tưới
stop-zone = Dừng tưới { $zone }
stop-all = Dừng tất cả
stop-all-title = Dừng tưới ở mọi khu?
stop-all-note = Mọi van đang mở sẽ được đóng. Sau một thời gian nghỉ, khu nào đất còn khô có thể tự tưới lại; muốn giữ van đóng thì khoá khu đó.
stop-all-yes = Dừng tất cả
lock = Khoá
lock-zone = Khoá { $zone }
lock-title = Khoá { $zone }
lock-note = Khi khoá, không gì mở được van của khu này cho đến khi có người mở khoá. Nếu đang tưới thì dừng ngay.
lock-why = Lý do (không bắt buộc)
unlock = Mở khoá
unlock-zone = Mở khoá { $zone }
unlock-title = Mở khoá { $zone }?
unlock-note = Sau khi mở khoá, khu này có thể được tưới ngay nếu đất khô. Hãy chắc chắn không còn ai sửa ống hay van.
clear = Xoá lỗi
clear-zone = Xoá lỗi { $zone }
sources = Nguồn nước
pump-pump = Máy bơm
pump-master-valve = Van tổng
pump-state-on = đang chạy
pump-state-off = tắt
pump-state-starting = đang bật
pump-state-stopping = đang tắt
pump-state-unknown = không rõ
clear-source = Xoá lỗi của { $source }
clear-source-title = Xoá lỗi của { $source }?
clear-source-note = Chỉ xoá lỗi sau khi đã kiểm tra máy bơm, bể và đường ống. Sau đó mọi khu dùng nguồn nước này có thể được tưới lại.
clear-title = Xoá lỗi của { $zone }?
clear-note = Chỉ xoá lỗi khi đã kiểm tra van và trạm ngoài vườn. Sau đó khu này có thể được tưới lại.

## Lịch tưới

no-programs = Chưa có lịch tưới nào. Hãy khai báo lịch tưới trong tệp cấu hình.
next-start = Lần tới theo lịch
next-never = không có lần nào sắp tới
program-ready = Đang bật.
program-invalid = Chưa chạy được: { $problem }.
program-running = Đang chạy, dự kiến xong lúc { $time }.
program-off = Đang tắt.
program-suspended = Tạm ngừng đến { $time }.
program-skipping = Bỏ qua { $n } lần tưới sắp tới.
program-adjusted = Tưới { $percent } % lượng đã đặt.
program-do-start = Tưới ngay
program-do-skip = Bỏ lần tới
program-do-unskip = Không bỏ nữa
program-do-adjust = Điều chỉnh
program-do-suspend = Tạm ngừng
program-do-resume = Chạy lại
program-do-off = Tắt lịch
program-do-on = Bật lịch
program-start-title = Chạy lịch tưới { $program } ngay?
program-start-note = Các van của lịch tưới này sẽ mở lần lượt, kể cả ngoài giờ cho phép. Khu bị khoá hoặc có lỗi thì không mở. Hãy chắc chắn không còn ai sửa ống hay van.
program-suspend-title = Tạm ngừng lịch tưới { $program }
program-suspend-note = Lịch tưới này không tự bắt đầu cho đến lúc đó. Lần tưới đang chạy vẫn tưới xong.
adjust = Đặt
adjust-title = Điều chỉnh lịch tưới { $program }
adjust-percent = Phần trăm lượng đã đặt (0 đến { $max })
adjust-choices = Chọn phần trăm
adjust-note = Thay cho mức đang dùng, tính từ lần bắt đầu sau.
adjust-nothing = Với 0 % thì lịch tưới này không tưới gì.
adjust-confirm = Tưới { $percent } %
pauses = Tạm ngừng cả vườn
pauses-note = Chỉ ngừng các lịch tưới. Khu tưới theo độ ẩm đất vẫn tự tưới khi đất khô; muốn giữ van đóng thì khoá khu đó.
pause = Ngừng
pause-rain = Hoãn vì mưa
pause-rain-title = Hoãn mọi lịch tưới vì mưa
pause-farm = Nghỉ tưới
pause-farm-title = Tạm ngừng mọi lịch tưới
pause-none = Không đặt.
pause-until = Không tưới đến { $time }
pause-end = Cho chạy lại
pause-change = Đổi
pause-days = Số ngày (1 đến { $max })
pause-choices = Chọn số ngày
pause-choice = { $n } ngày
preview-title = { $days } ngày tới
preview-note = Nếu không có gì thay đổi. Nguồn nước bận có thể làm một lần tưới muộn hơn.
preview-empty = Không có lần tưới nào theo lịch trong { $days } ngày tới.
preview-zone = { $zone }: { $span }, từ { $time }
preview-portions = (chia { $n } đợt)
preview-skipped = Không tưới.
preview-zone-skipped = Không tưới { $zone }.
preview-cut-short = Lịch tưới { $program } bắt đầu quá nhiều lần, ở đây chỉ có những lần đầu.

## Trạng thái van đã được xác nhận

state-idle = Van đóng
state-waiting = Đang chờ
state-sent = Đã gửi lệnh
state-accepted = Đã nhận lệnh
state-open = Đang tưới
state-closing = Đang đóng van
state-unknown = Chưa rõ van
state-fault = Có lỗi
state-locked = Đã khoá
state-sent-long = Đã gửi lệnh mở van, chờ trạm trả lời. Van chưa mở.
state-accepted-long = Trạm đã nhận lệnh, chờ xác nhận van mở.
state-closing-long = Đã gửi lệnh đóng van, chờ trạm xác nhận. Nước có thể còn chảy.
state-unknown-long = Chưa biết van đóng hay mở: chờ trạm báo về.

## Chất lượng số đo

quality-good = Tốt
quality-stale = Quá cũ
quality-missing = Không có
quality-out-of-range = Ngoài khoảng hợp lý
quality-jump = Nhảy bất thường
quality-stuck = Đứng yên bất thường
quality-faulty = Cảm biến lỗi
quality-ahead = Mang giờ tương lai
quality-age-unknown = Không rõ tuổi số đo
quality-unstable = Dao động quá lớn
quality-uncalibrated = Chưa hiệu chuẩn
quality-uncertain-time = Không chắc giờ đo

## Nhật ký

event-started = Bắt đầu tưới
event-confirmed = Van đã mở
event-stopping = Đang dừng tưới
event-stopped = Đã dừng tưới
event-reported = Số đo gửi bù
event-scheduled = Lịch tưới bắt đầu
event-adjusted = Đã thay đổi
event-notified = Báo tin
event-skipped = Không tưới
event-refused = Bị từ chối
event-fault = Lỗi
event-cleared = Đã xoá lỗi
event-locked = Đã khoá
event-unlocked = Đã mở khoá
by-engine = Tự động
by-node = Trạm báo
by-program = Lịch tưới { $name }
by-rule = Quy tắc { $name }
by-person = Người làm: { $name }
somebody = không rõ tên
person-admin = quản trị viên
ran-for = Đã tưới { $span }
diary-empty = Chưa có gì trong nhật ký.
diary-zone = Xem nhật ký của
all-zones = Tất cả khu tưới
whole-farm = Mọi khu
older = Xem cũ hơn
time-unknown = không rõ giờ

## Trạm

node-online = Có mạng
node-offline = Mất kết nối
node-id = Mã trạm
node-json = thiết bị ngoài (JSON)
node-station = trạm có đồng hồ riêng
node-unregistered = chưa đăng ký
last-seen = Lần gửi gần nhất
battery = Pin
never = chưa lần nào
no-nodes = Chưa có trạm nào.

## Đại lượng đo

metric-soil-moisture = độ ẩm đất
metric-soil-vwc = hàm lượng nước trong đất
metric-soil-temperature = nhiệt độ đất
metric-soil-ec = độ dẫn điện của đất
metric-soil-tension = sức hút nước của đất
metric-air-temperature = nhiệt độ không khí
metric-relative-humidity = độ ẩm không khí
metric-rain = lượng mưa
metric-air-pressure = áp suất không khí
metric-wind-speed = tốc độ gió
metric-solar-radiation = bức xạ mặt trời
metric-vapour-pressure-deficit = độ thiếu hụt hơi nước
metric-battery = pin
metric-battery-mv = pin
metric-flow = lưu lượng
metric-water-volume = nước qua đồng hồ
metric-tank-level = mức nước bể

## Cây trồng

crop-plum = Mận hậu
crop-dragon-fruit = Thanh long
crop-mango = Xoài
crop-longan = Nhãn
crop-coffee = Cà phê
crop-tea = Chè
crop-passion-fruit = Chanh leo
crop-strawberry = Dâu tây

## Đơn vị và thời điểm

unit-s = { $n } giây
unit-min = { $n } phút
unit-h = { $n } giờ
unit-day = { $n } ngày
unit-litre = { $n } lít
ago-now = vừa xong
ago = { $span } trước
moment-yesterday = hôm qua { $time }
moment-tomorrow = ngày mai { $time }
moment-date = { $date } { $time }
day = { $weekday } { $date }
day-today = hôm nay, { $date }
day-tomorrow = ngày mai, { $date }
weekday-1 = thứ hai
weekday-2 = thứ ba
weekday-3 = thứ tư
weekday-4 = thứ năm
weekday-5 = thứ sáu
weekday-6 = thứ bảy
weekday-7 = chủ nhật

## Vì sao: mỗi mã của bộ điều khiển tưới

reason-soil-dry = Đất khô: độ ẩm { $moisture }, dưới ngưỡng { $start_below }.
reason-soil-moist = Đất chưa khô: độ ẩm { $moisture }, chưa xuống dưới ngưỡng { $start_below }.
reason-soil-wet = Đất đã đủ ẩm: độ ẩm { $moisture }, trên ngưỡng { $stop_above }.
reason-run-time-reached = Đã đủ thời gian tưới { $run_s }.
reason-lease-renewed = Tưới tiếp thêm { $run_s }.
reason-manual-start = Có người bấm tưới { $run_s }.
reason-program-start = Lịch tưới { $program } bắt đầu: tưới tổng cộng { $run_s }.
reason-program-run = Lịch tưới { $program }: { $run_s }, đợt { $cycle } trên { $n_cycles }.
reason-program-stop = Có người dừng lịch tưới { $program }.
reason-unknown-program = Không có lịch tưới { $program }.
reason-program-adjusted = Từ lần bắt đầu sau, lịch tưới { $program } tưới { $percent } % lượng đã đặt.
reason-program-enabled = Lịch tưới { $program } đã bật.
reason-rule-run = Quy tắc { $rule } cho tưới { $run_s }: { $values }.
reason-rule-stop = Quy tắc { $rule } cho dừng: { $values }.
reason-rule-lock = Quy tắc { $rule } đã khoá khu này: { $values }.
reason-rule-adjusted = Quy tắc { $rule } đặt lịch tưới { $program } còn { $percent } % lượng đã đặt: { $values }.
reason-rule-notice = { $note } (quy tắc { $rule }: { $values })
reason-rule-tired = Quy tắc { $rule } đã chạy đủ { $times_max } lần trong ngày, nghỉ đến ngày mai.
reason-pause-ended = Hết tạm ngừng, các lịch tưới chạy lại.
reason-manual-stop = Có người bấm dừng.
reason-stop-all = Có người bấm dừng tất cả.
reason-local-run = Có người mở van bằng nút bấm tại trạm.
reason-not-automatic = Khu này chỉ tưới bằng tay.
reason-invalid-plan = Cài đặt của khu này chưa đúng: { $problem }.
reason-unknown-zone = Không có khu tưới { $zone }.
reason-already-running = Khu này đang được tưới rồi.
reason-valve-closing = Van của khu này đang đóng, hãy đợi đóng xong.
reason-valve-unknown = Chưa biết van đóng hay mở kể từ khi thiết bị trung tâm khởi động.
reason-stale-reading = Số đo của { $device } ({ $metric }) quá cũ: đã { $age_s }, chỉ tin trong { $fresh_s }.
reason-no-reading = Chưa có số đo nào của { $device } ({ $metric }).
reason-faulty-reading = Đầu dò { $device } ({ $metric }) báo lỗi.
reason-reading-ahead = Số đo của { $device } ({ $metric }) mang giờ sớm hơn hiện tại { $ahead_s }: đồng hồ sai.
reason-age-unknown = Không biết số đo của { $device } ({ $metric }) cũ bao lâu (thiết bị trung tâm hoặc trạm vừa khởi động lại, hoặc dữ liệu tồn đang được gửi về): chờ số đo mới.
reason-implausible-reading = Số đo { $moisture } của { $device } ({ $metric }) không hợp lý, phải từ { $min } đến { $max }.
reason-probe-jump = Số đo của { $device } ({ $metric }) nhảy từ { $from } đến { $to }; trong 5 phút chỉ được đổi { $rate_max }.
reason-probe-stuck = Số đo của { $device } ({ $metric }) đứng yên { $same_s }, lâu hơn { $stuck_s }.
reason-outside-window = Ngoài giờ tưới cho phép ({ $from_min } đến { $to_min }).
reason-no-water-window = Không được tưới từ { $from_min } đến { $to_min }.
reason-run-cut = Hết giờ tưới cho phép: chỉ tưới { $run_s } thay vì { $wanted_s }.
reason-run-moved = Đợi thêm { $late_s } cho đến giờ tưới cho phép.
reason-window-too-short = Trong một ngày không có khoảng giờ cho phép nào đủ dài để tưới { $wanted_s }.
reason-run-limited = Giới hạn của khu tưới đổi thời gian tưới thành { $run_s } thay vì { $wanted_s }.
reason-below-threshold = { $wanted_s } quá ngắn, không đáng mở van; ít nhất phải { $least_s }.
reason-adjusted-to-nothing = Theo mùa và mức điều chỉnh thì không còn gì để tưới.
reason-step-disabled = Bước này của lịch tưới đang tắt.
reason-program-disabled = Lịch tưới này đang tắt.
reason-program-busy = Lần chạy trước của lịch tưới chưa xong, còn { $remaining_s }.
reason-suspended = Có người tạm ngừng tưới, còn { $remaining_s }.
reason-rain-delay = Hoãn tưới vì mưa, còn { $remaining_s }.
reason-skipped-by-person = Có người bỏ qua lần tưới này; còn bỏ qua { $left } lần nữa.
reason-missed-start = Đã lỡ giờ tưới { $late_s }; chỉ tưới bù trong vòng { $catch_up_s } và chỉ lần gần nhất.
reason-finish-too-near = Lịch tưới cần { $needed_s } mà chỉ còn { $left_s } trước giờ phải xong, nên đợi đến ngày sau.
reason-clock-unset = Đồng hồ của thiết bị trung tâm chưa được đặt.
reason-source-busy = Nguồn nước đang dành cho { $zone }.
reason-capacity-full = { $source } không tải thêm được: đang dùng { $in_use_l_per_h } L/giờ trên { $capacity_l_per_h } L/giờ, khu này cần { $wanted_l_per_h } L/giờ.
reason-capacity-kept = Nước đang để dành cho { $zone } vì khu đó chờ lâu nhất.
reason-unknown-source = Không có nguồn nước { $source } với máy bơm hoặc van tổng được điều khiển từ đây.
reason-staggered = Một khu khác của { $source } vừa bắt đầu tưới; còn { $remaining_s } nữa mới đến khu tiếp theo.
reason-pump-start = Có khu đang lấy nước nên bật { $source }.
reason-pump-not-needed = Không còn khu nào lấy nước nên tắt { $source }.
reason-pump-uncovered = Không có van nào chắc chắn đang mở nên tắt { $source }.
reason-pump-stopping = { $source } đang tắt; khu tiếp theo chờ đến khi tắt xong.
reason-pump-resting = { $source } nghỉ giữa hai lần chạy, còn { $remaining_s }.
reason-pump-starts-used = { $source } đã chạy đủ { $starts } lần trong giờ này, còn { $remaining_s }.
reason-pump-lead = Van tổng của { $source } mở trước; van của khu mở sau { $remaining_s }.
reason-pump-started-locally = Có người bật { $source } tại trạm; gateway tắt nó vì không biết van nào đang mở.
reason-source-fault = Lỗi của { $source } chưa được xử lý: { $fault }.
reason-source-paused = { $source } tạm nghỉ sau { $failures } lần lỗi liên tiếp, còn { $remaining_s }.
reason-source-cleared = Có người đã kiểm tra và xoá lỗi của { $source }.
reason-flow-confirmed = Nước đang chảy: { $flow_l_per_h } L/giờ.
reason-high-flow = Lưu lượng { $flow_l_per_h } L/giờ thay vì { $expected_l_per_h } L/giờ: ống bị vỡ hoặc tuột.
reason-low-flow = Lưu lượng chỉ { $flow_l_per_h } L/giờ thay vì { $expected_l_per_h } L/giờ: bộ lọc hoặc dây nhỏ giọt bị tắc.
reason-no-flow = Không có nước chảy ({ $flow_l_per_h } L/giờ, dự kiến { $expected_l_per_h } L/giờ): kiểm tra van, máy bơm và khoá tay.
reason-leak-after-close = Van đã đóng mà vẫn chảy { $flow_l_per_h } L/giờ; đóng lại lần { $attempts }.
reason-valve-stuck-open = Van đã đóng nhiều lần mà vẫn chảy { $flow_l_per_h } L/giờ.
reason-volume-reached = Lần tưới đã đủ { $volume_l } L.
reason-source-high-flow = { $source } cấp { $flow_l_per_h } L/giờ, các khu chỉ cần { $expected_l_per_h } L/giờ: ống bị vỡ.
reason-source-low-flow = { $source } chỉ cấp { $flow_l_per_h } L/giờ, các khu cần { $expected_l_per_h } L/giờ.
reason-source-no-flow = { $source } không cấp nước ({ $flow_l_per_h } L/giờ, dự kiến { $expected_l_per_h } L/giờ).
reason-unscheduled-flow = { $source } vẫn chảy { $flow_l_per_h } L/giờ dù mọi van đã đóng: rò rỉ nước.
reason-tank-low = Mức nước của { $source } quá thấp: { $level }, cấp lại khi đạt { $resume }.
reason-tank-unknown = Không biết mức nước của { $source }.
reason-pressure-low = Áp suất sau { $source } quá thấp: { $pressure_kpa } kPa, ít nhất phải { $min_kpa } kPa.
reason-pressure-high = Áp suất sau { $source } quá cao: { $pressure_kpa } kPa, nhiều nhất { $max_kpa } kPa.
reason-rained = Đã mưa { $rain_mm } mm trong { $hours } giờ, { $limit_mm } mm là đủ.
reason-rain-contact = Trời đang mưa hoặc vừa mưa.
reason-frost = Trời quá lạnh: { $temperature_c } °C; tưới lại khi đạt { $clear_c } °C.
reason-run-extended = Có người kéo dài lần tưới thêm { $by_s }, tổng cộng { $run_s }.
reason-run-longest = Lần tưới đã dài hết mức cho phép: { $run_s }.
reason-not-running = Khu này không đang tưới.
reason-irrigated-by-hand = Có người tưới tay trong { $run_s }, { $litres } L.
reason-run-resumed = Lần tưới của { $program } bị gián đoạn; tưới bù { $run_s }.
reason-test-started = Có người thử { $n_zones } van, tổng cộng { $run_s }.
reason-once-started = Có người cho tưới { $n_zones } khu một lần, tổng cộng { $run_s }.
reason-valve-test = Thử van trong { $run_s }, van { $cycle } trên { $n_cycles }.
reason-run-once = Có người cho tưới một lần { $run_s }.
reason-diagnosis-started = { $source } cấp quá nhiều nước: lần lượt thử { $n_zones } khu đang mở.
reason-diagnosing = Đang thử lần lượt các khu của { $source } vì nguồn cấp quá nhiều nước.
reason-minimum-off = Đang trong thời gian nghỉ, còn { $remaining_s }.
reason-rest-after-stop = { $by } đã bấm dừng, tưới tự động nghỉ thêm { $remaining_s }.
reason-locked = { $by } đã khoá khu này. { $note }
reason-unlocked = Có người mở khoá khu này.
reason-fault-cleared = Có người xoá lỗi sau khi kiểm tra.
reason-node-offline = Trạm { $node } mất kết nối.
reason-command-unanswered = Trạm không trả lời sau { $waited_s }, đã gửi { $attempts } lần.
reason-command-refused = Trạm từ chối lệnh: { $refusal }.
reason-quarantined = Tạm nghỉ sau { $failures } lần hỏng liên tiếp, còn { $remaining_s }.
reason-unresolved-fault = Còn lỗi chưa được xoá: { $fault }.
reason-valve-not-confirmed = Trạm đã nhận lệnh nhưng sau { $waited_s } vẫn không báo van mở.
reason-closed-by-node = Trạm tự đóng van: { $close }.
reason-valve-found-closed = Trạm báo van đã đóng mà không nói vì sao.
reason-unexpected-open = Van mở mà không có lệnh từ đây (lệnh số { $command }).
reason-valve-silent = Không nghe gì về van suốt { $waited_s }, quá thời gian tưới dài nhất.
reason-gateway-stopping = Thiết bị trung tâm dừng hoạt động nên đóng các van mà nó đã mở.
reason-gateway-restarted = Thiết bị trung tâm vừa khởi động lại và đóng những van không rõ tình trạng.

## Vì sao một lệnh của người bị từ chối, nói gọn

short-source-busy = Nguồn nước đang dành cho khu khác.
short-capacity-full = Máy bơm hoặc đường ống đang tải hết mức.
short-capacity-kept = Nước đang để dành cho một khu chờ lâu nhất.
short-locked = Khu này đang bị khoá.
short-node-offline = Trạm điều khiển van mất kết nối.
short-quarantined = Khu này đang tạm nghỉ sau nhiều lần hỏng.
short-unresolved-fault = Khu này còn lỗi chưa được xoá.
short-invalid-plan = Cài đặt của khu này chưa đúng.
short-minimum-off = Khu này đang trong thời gian nghỉ.
short-unknown-zone = Không có khu tưới này.

## Lỗi gọi tên ngắn

fault-high-flow = lưu lượng quá cao
fault-low-flow = lưu lượng quá thấp
fault-no-flow = không có nước chảy
fault-valve-stuck-open = van đã đóng mà vẫn chảy
fault-leak-after-close = nước vẫn chảy sau khi đóng van
fault-source-high-flow = nguồn nước cấp quá nhiều
fault-source-low-flow = nguồn nước cấp quá ít
fault-source-no-flow = nguồn nước không cấp nước
fault-unscheduled-flow = rò rỉ nước khi mọi van đã đóng
fault-pressure-low = áp suất quá thấp
fault-pressure-high = áp suất quá cao
fault-pump-started-locally = máy bơm được bật tại trạm
fault-valve-found-closed = van được báo là đã đóng
fault-command-unanswered = trạm không trả lời lệnh
fault-command-refused = trạm từ chối lệnh
fault-valve-not-confirmed = van không báo đã mở
fault-closed-by-node = trạm tự đóng van
fault-unexpected-open = van mở mà không có lệnh
fault-valve-silent = không nghe gì về van

## Vì sao van tự đóng

close-lease-ended = hết thời gian được phép mở
close-volume-reached = đủ lượng nước
close-commanded = theo lệnh
close-hard-maximum = quá thời gian tối đa của trạm
close-local-button = có người bấm nút tại trạm
close-boot = trạm khởi động lại
close-brown-out = điện yếu
close-watchdog = trạm bị treo và tự khởi động lại
close-panic = phần mềm của trạm gặp lỗi
close-fault = bộ điều khiển van báo hỏng
close-unknown = vì lý do mà phiên bản này chưa biết

## Vì sao trạm từ chối lệnh

refusal-bad-mac = chữ ký không đúng
refusal-replayed = lệnh cũ bị gửi lại
refusal-expired = lệnh đã quá hạn
refusal-misaddressed = lệnh gửi nhầm trạm
refusal-not-anchored = trạm chưa có giờ đúng
refusal-unknown-valve = trạm không có van này
refusal-lease-too-long = thời gian tưới dài hơn mức trạm cho phép
refusal-malformed = lệnh không đọc được
refusal-too-new = lệnh thuộc phiên bản mới hơn
refusal-busy = trạm đang bận
refusal-low-power = điện không đủ để mở van
refusal-locked-locally = van bị khoá tại trạm
refusal-bad-setting = trạm không dùng được cài đặt này
refusal-unsupported = trạm không làm được việc này
refusal-unknown = vì lý do mà phiên bản này chưa biết

## Cài đặt sai

problem-unknown-source = nguồn nước không có trong danh sách
problem-no-probe = không có đầu dò
problem-probe-twice = một đầu dò bị khai hai lần
problem-thresholds-crossed = ngưỡng bắt đầu không thấp hơn ngưỡng dừng
problem-hysteresis-too-small = hai ngưỡng quá gần nhau
problem-threshold-implausible = ngưỡng nằm ngoài khoảng hợp lý
problem-valve-shared = van đã thuộc khu khác
problem-lease-zero = thời gian mở van bằng không
problem-lease-above-run = thời gian mở van dài hơn thời gian tưới tối đa
problem-run-too-long = thời gian tưới tối đa quá dài
problem-fresh-zero = không số đo nào được coi là mới
problem-stuck-below-fresh = số đo bị coi là đứng yên trước khi bị coi là cũ
problem-utc-offset = múi giờ không hợp lệ
problem-timing = thời gian chờ không hợp lệ
problem-source-loop = nguồn nước tự cấp cho chính nó
problem-capacity-zero = sức tải của nguồn nước bằng không
problem-flow-zero = lưu lượng của khu tưới bằng không
problem-flow-above-capacity = khu tưới cần nhiều nước hơn sức tải của nguồn
problem-stagger-too-long = khoảng cách giữa hai lần bắt đầu quá dài
problem-pump-output-shared = ngõ ra của máy bơm đã thuộc khu hoặc nguồn nước khác
problem-pump-before-valves = máy bơm sẽ chạy trước khi van mở hoặc sau khi van đóng
problem-pump-adjust = máy bơm lệch quá mười phút
problem-pump-span = một khoảng thời gian của máy bơm quá dài
problem-pump-lease-too-short = thời hạn chạy của máy bơm quá ngắn
problem-pump-twice = có hai máy bơm hoặc hai van tổng trên một đường ống
problem-pump-zone-lease = thời hạn mở van của khu quá ngắn so với máy bơm
problem-guard-flow-limits = các ngưỡng lưu lượng mâu thuẫn nhau
problem-guard-span = một khoảng thời gian giám sát nằm ngoài phạm vi
problem-guard-hysteresis = ngưỡng tưới lại nằm trước ngưỡng dừng
problem-guard-volume-zero = lượng nước tối đa của một lần tưới bằng không
problem-guard-pressure = ngưỡng áp suất thiếu hoặc ngược nhau
problem-guard-rain = ngưỡng mưa hoặc số giờ nằm ngoài phạm vi
problem-empty = thiếu ngày, giờ bắt đầu hoặc khu tưới
problem-too-many = có quá nhiều giờ, bước, lần tưới hoặc lịch tưới
problem-out-of-range = một con số nằm ngoài khoảng cho phép
problem-unknown-zone = khu tưới không có trong danh sách
problem-amount-zero = lượng nước bằng không
problem-amount-too-large = lượng nước quá lớn
problem-no-flow = chưa biết lưu lượng của khu tưới
problem-no-area = chưa biết diện tích của khu tưới
problem-no-plants = chưa biết số cây của khu tưới
problem-no-place = chưa biết vĩ độ và kinh độ của vườn để tính giờ mặt trời
problem-too-long-to-finish = dài hơn một ngày nên không xong được trước giờ đã định
problem-limits-crossed = lần tưới ngắn nhất dài hơn lần tưới dài nhất

## Nên làm gì với mỗi lý do

do-nothing = Không cần làm gì.
do-soil-dry = { do-nothing }
do-soil-moist = { do-nothing }
do-soil-wet = { do-nothing }
do-run-time-reached = { do-nothing }
do-lease-renewed = { do-nothing }
do-manual-start = { do-nothing }
do-program-start = { do-nothing }
do-program-run = { do-nothing }
do-program-stop = Muốn tưới tiếp thì bắt đầu lại lịch tưới này, hoặc đợi lần sau.
do-unknown-program = Xem lại mã của lịch tưới trong tệp cấu hình.
do-program-adjusted = Muốn tưới như đã đặt thì chỉnh về 100 %.
do-program-enabled = { do-nothing }
do-rule-run = { do-nothing }
do-rule-stop = Xem quy tắc và số đo mà nó dựa vào.
do-rule-lock = Xem quy tắc và số đo mà nó dựa vào, rồi mở khoá.
do-rule-adjusted = Muốn tưới như đã đặt thì chỉnh lịch tưới về 100 %.
do-rule-notice = Làm theo lời báo của quy tắc.
do-rule-tired = Xem lại quy tắc: thêm thời gian chờ (for_min, cooldown_min) hoặc điều kiện kết thúc (until).
do-pause-ended = { do-nothing }
do-manual-stop = Muốn tưới lại thì bấm tưới.
do-stop-all = Muốn giữ van đóng lâu thì khoá các khu tưới.
do-local-run = Nếu không ai ở trạm, hãy đến xem nút bấm và van.
do-not-automatic = Muốn tự tưới thì đặt automatic = true cho khu này trong tệp cấu hình.
do-invalid-plan = Sửa cài đặt của khu này trong tệp cấu hình; giot doctor chỉ ra dòng sai.
do-unknown-zone = Xem lại mã của khu tưới trong tệp cấu hình.
do-already-running = Đợi tưới xong, hoặc bấm dừng trước.
do-valve-closing = Đợi vài giây rồi thử lại.
do-valve-unknown = Đợi trạm báo về; nếu lâu quá thì xem trạm còn điện và sóng không.
do-stale-reading = Xem trạm còn điện, còn sóng không, và dây của đầu dò.
do-no-reading = Xem đầu dò đã nối chưa, mã trạm và tên đại lượng trong tệp cấu hình có đúng không.
do-faulty-reading = Xem dây và đầu nối của đầu dò; nếu vẫn báo lỗi thì thay.
do-reading-ahead = Xem giờ của thiết bị trung tâm và của thiết bị đo.
do-age-unknown = Đợi số đo mới; nếu lâu không có thì xem trạm còn điện, còn sóng không.
do-implausible-reading = Xem đầu dò có nằm trong đất không, có ngập nước không; hiệu chuẩn lại nếu cần.
do-probe-jump = Xem có ai chạm vào đầu dò hay tưới bằng cách khác không; số đo ổn định lại thì tự hết.
do-probe-stuck = Nhấc đầu dò ra rồi cắm lại; nếu số đo vẫn đứng yên thì thay.
do-outside-window = Đợi đến giờ, đổi giờ cho phép trong tệp cấu hình, hoặc bấm tưới.
do-no-water-window = Đợi hết giờ cấm tưới.
do-run-cut = Cho lịch tưới bắt đầu sớm hơn hoặc nới giờ cho phép.
do-run-moved = { do-nothing }
do-window-too-short = Nới giờ cho phép, hoặc tưới ít hơn mỗi lần.
do-run-limited = Xem lượng tưới của lịch và giới hạn của khu.
do-below-threshold = Tăng lượng mỗi lần, hoặc tưới thưa hơn.
do-adjusted-to-nothing = Xem phần trăm theo mùa và mức điều chỉnh của lịch tưới.
do-step-disabled = Bật bước này trong tệp cấu hình nếu cần.
do-program-disabled = Bật lịch tưới nếu cần.
do-program-busy = Đợi lần trước xong, hoặc để các lần bắt đầu cách nhau xa hơn.
do-suspended = Muốn tưới sớm hơn thì cho chạy lại.
do-rain-delay = Nếu không mưa thì bỏ hoãn.
do-skipped-by-person = Không muốn bỏ nữa thì bấm Không bỏ nữa.
do-missed-start = Bắt đầu lịch tưới bằng tay nếu vườn cần nước; xem vì sao thiết bị trung tâm ngừng.
do-finish-too-near = Đặt giờ phải xong muộn hơn, hoặc tưới ít hơn.
do-clock-unset = Nối mạng cho thiết bị trung tâm để lấy giờ, hoặc đặt giờ cho máy.
do-source-busy = Đợi khu kia tưới xong, hoặc khai báo lưu lượng để nhiều khu tưới cùng lúc.
do-capacity-full = Đợi, hoặc xem lại lưu lượng và sức tải đã khai báo.
do-capacity-kept = Đợi; khu kia được tưới trước.
do-minimum-off = Đợi hết thời gian nghỉ.
do-rest-after-stop = Muốn tưới sớm hơn thì bấm tưới.
do-locked = Mở khoá khi không còn ai sửa ống hay van.
do-unlocked = { do-nothing }
do-fault-cleared = { do-nothing }
do-node-offline = Xem trạm còn điện và còn sóng không.
do-command-unanswered = Xem trạm còn điện và còn sóng không; van tự đóng khi hết thời hạn.
do-command-refused = Xem vì sao trạm từ chối trong bảng dưới; nếu chữ ký sai thì đăng ký lại trạm.
do-quarantined = Tìm nguyên nhân của lần hỏng rồi xoá lỗi để tưới lại ngay.
do-unresolved-fault = Ra vườn xem van và trạm, rồi xoá lỗi.
do-valve-not-confirmed = Xem dây của van, cuộn hút và nguồn điện của trạm.
do-closed-by-node = Xem lý do của trạm trong bảng dưới; nếu do điện thì xem nguồn.
do-valve-found-closed = Xem trạm có bị mất điện không.
do-unexpected-open = Ra xem van ngay; nếu không ai mở thì kiểm tra trạm và đổi khoá của trạm.
do-valve-silent = Ra xem van đã đóng chưa, trạm còn điện và sóng không.
do-gateway-stopping = Khởi động lại thiết bị trung tâm để tưới tiếp.
do-gateway-restarted = Nếu thiết bị trung tâm hay tự khởi động lại thì xem nguồn điện của nó.
do-diagnosing = Đợi thử xong; khu nào có lỗi sẽ được nêu tên.
do-diagnosis-started = Đợi thử xong; khu nào có lỗi sẽ được nêu tên.
do-flow-confirmed = { do-nothing }
do-frost = Đợi trời ấm lên; ai cần thì vẫn tưới tay được.
do-high-flow = Đi dọc đường ống tìm chỗ vỡ hoặc tuột, sửa rồi xoá lỗi.
do-irrigated-by-hand = { do-nothing }
do-leak-after-close = Đến xem van: có thể kẹt rác.
do-low-flow = Rửa bộ lọc và xả dây nhỏ giọt.
do-no-flow = Xem khoá tay, máy bơm, dây và cuộn hút của van, rồi xoá lỗi.
do-not-running = Bấm tưới trước nếu muốn tưới.
do-once-started = { do-nothing }
do-pressure-high = Xem bộ điều áp và van xả.
do-pressure-low = Xem bộ lọc, máy bơm và chỗ rò trên đường ống.
do-pump-lead = { do-nothing }
do-pump-not-needed = { do-nothing }
do-pump-resting = Đợi; thời gian nghỉ bảo vệ máy bơm.
do-pump-start = { do-nothing }
do-pump-started-locally = Muốn bơm thì bắt đầu một khu tưới; máy bơm sẽ chạy theo.
do-pump-starts-used = Đợi; giới hạn số lần khởi động bảo vệ máy bơm.
do-pump-stopping = { do-nothing }
do-pump-uncovered = Xem các trạm có van đang mở còn liên lạc không.
do-rain-contact = { do-nothing }
do-rained = { do-nothing }
do-run-extended = { do-nothing }
do-run-longest = Đợi tưới xong rồi bắt đầu lần mới, hoặc tăng run_max_min trong tệp cấu hình.
do-run-once = { do-nothing }
do-run-resumed = { do-nothing }
do-source-cleared = { do-nothing }
do-source-fault = Tìm và sửa nguyên nhân, rồi xoá lỗi của nguồn nước.
do-source-high-flow = Tìm chỗ vỡ trên đường ống chính, sửa rồi xoá lỗi.
do-source-low-flow = Rửa bộ lọc, xem máy bơm và chỗ rò.
do-source-no-flow = Xem máy bơm, mực nước và các khoá tay, rồi xoá lỗi.
do-source-paused = Đợi, hoặc sửa nguyên nhân rồi xoá lỗi.
do-staggered = { do-nothing }
do-tank-low = Cấp thêm nước vào bể, hoặc đợi bể đầy lại.
do-tank-unknown = Xem trạm và đầu đo mực nước.
do-test-started = Đến từng khu xem van có mở và nước có chảy không.
do-unknown-source = Xem lại mã của nguồn nước trong tệp cấu hình.
do-unscheduled-flow = Tìm chỗ rò, hoặc van bị kẹt mở; khoá tay nếu cần.
do-valve-stuck-open = Khoá tay đường nước của khu, sửa van rồi xoá lỗi.
do-valve-test = { do-nothing }
do-volume-reached = { do-nothing }

## Vì sao, theo ngày

why-title = Vì sao?
why-day = Ngày
why-yesterday = Hôm qua
why-today = Hôm nay
why-watered = Đã tưới { $n } lần, tổng cộng { $span }.
why-watered-litres = Đã tưới { $n } lần, tổng cộng { $span }, { $litres }.
why-watering = Đang tưới.
why-not = Không tưới. { $why }
why-moist = Không tưới vì đất chưa khô: độ ẩm từ { $low } đến { $high }, chỉ tưới khi dưới { $start_below }.
why-quiet = Không tưới, và nhật ký không ghi lý do nào. Có thể thiết bị trung tâm đã ngừng hoặc không nhận được số đo.
why-future = Ngày này chưa đến.
why-before = từ trước

## Kho dữ liệu bên ngoài nhận lịch sử

sinks = Kho dữ liệu bên ngoài nhận lịch sử
sink-new = Chưa kết nối lần nào
sink-ok = Nhận đủ
sink-away = Không kết nối được
sink-busy = Đang quá tải, sẽ gửi lại
sink-forbidden = Không cho vào: kiểm tra mã truy cập (token)
sink-unknown = Không có kho (bucket) này
sink-rejecting = Từ chối tất cả
sink-taken = Gửi lần cuối
sink-waiting = Số đo đang chờ gửi
sink-oldest = cũ nhất lúc { $time }
sink-refused = Số đo bị từ chối
