"""Which words people use for what tools call otherwise: English groups, kinds, Chinese to English.

A small table of everyday words; what it adds to a question counts less than the question's own
words (`words.py`). Every word is stemmed as the tools' words are, so that one form of it does.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

# the words of a line stand for each other
_ALIKE = """
movie film cinema
show series tv television episode
song music track tune
concert gig performance
play theater theatre drama
taxi cab ride uber
house home apartment flat property
hotel lodging accommodation
job vacancy position employment career
lawyer attorney
doctor physician dentist
car vehicle automobile
flight airline plane airfare
airplane plane aircraft
trip travel journey vacation itinerary tour
picture photo image photograph
email mail inbox
message text sms
phone telephone mobile
delete remove erase clear drop
create make generate build
add insert append
update modify change edit alter
fetch retrieve get obtain
find search look lookup locate
buy purchase order shop
book reserve reservation booking
cost price fare fee expense
money currency cash amount
salary wage pay income
company firm business corporation enterprise
street road avenue address
city town location place area
near nearby nearest closest around
route direction directions path navigation drive
distance far
weather forecast climate
temperature hot cold warm
restaurant dining eat cuisine food meal
food dish meal recipe cook
recipe cook cooking bake
shirt dress skirt clothes clothing apparel
product item goods merchandise
store shop retailer market supermarket grocery
stock share ticker
interest rate loan mortgage
loan credit debt mortgage
tax taxes duty
sum total add addition plus
subtract minus difference
multiply times product multiplication
divide division quotient
average mean
gcd hcf divisor factor
derivative slope gradient differentiate
integral integrate area
equation solve root
probability chance odds likelihood
random shuffle dice
biggest largest maximum highest max
smallest minimum lowest min
team club
game match
player athlete
score result points
ranking rank standings position
book novel author
person people celebrity
president leader king queen monarch ruler
war battle conflict
invention invent inventor discover discovery discoverer
law legal court lawsuit litigation
crime criminal felony offence
painting art artwork sculpture
museum gallery exhibition
holiday festival celebration event
event activity happening
meeting appointment schedule calendar
alarm reminder notification alert
task todo
file document
folder directory path
command shell terminal cmd execute run
list show display enumerate
website site web url page link
download upload
translate translation language
convert conversion exchange
volume loud loudness quiet sound
play listen stream
password login credential
user account profile
bank account
friend contact
body weight bmi height
calorie nutrition diet
illness disease symptom medical health
plant flower garden
pet animal dog cat
school college university education
student class course grade
ticket issue bug
repo repository git github
weekday day date
hour minute time clock
begin start
end finish stop
"""

# the words before the colon are of a kind that tools name by the words after it
_KINDS = """
dollar euro pound yen yuan rupee peso franc usd eur gbp jpy cny inr: currency money
celsius fahrenheit rain rainy sunny snow humid humidity wind windy: weather temperature
january february march april may june july august september october november december: date
monday tuesday wednesday thursday friday saturday sunday weekend: date
today tomorrow yesterday tonight: date
morning afternoon evening noon midnight: time
mile kilometer km metre meter: distance
pizza burger sushi sandwich taco pasta fries: food restaurant order
brownie cake soup cookie bread: recipe food
drink coffee latte tea beer cola: drink beverage
actor actress director starring: movie cast
horror comedy thriller romance: movie genre
jazz rock pop classical rap: music genre
nba football soccer basketball baseball tennis hockey: sports
christianity buddhism islam hinduism judaism: religion
triangle circle square rectangle: geometry area
"""

_CHINESE = """
天气 气温 下雨: weather temperature
温度: temperature
机票 航班 飞机: flight
酒店 宾馆 旅馆: hotel
火车 高铁: train
打车 出租: taxi ride
餐厅 餐馆 饭店: restaurant
外卖 点餐: food order
菜谱 食谱: recipe
电影: movie
音乐 歌曲: music song
新闻: news
股票 股价: stock
汇率 货币 换算: currency convert
翻译: translate
邮件 邮箱: email
日历 日程 会议: calendar event
提醒 闹钟: reminder alarm
时间: time
日期: date
地图 路线 导航: map route
距离: distance
附近: nearby
预订 预定: book
购买: buy
价格: price
订单: order
查询 查找 搜索: search
计算: calculate
面积: area
概率: probability
文件: file
目录: directory
图片 照片: image
下载: download
用户: user
工单: ticket
数据库: database
网页 网站: web
发送: send
删除: delete
创建 新建: create
更新 修改: update
"""

# what people say around a question; counts less than what the question is about
POLITE = """
help want need like know tell look looking please provide give show wanted interested something
thing things first second third last lastly finally additionally also today going go let make
sure wonder wondering curious might maybe able possible use using used wish check
try trying think see kindly actually right good best way question questions task tasks specific
some based given
"""

_DAY = r"\b\d{4}-\d\d?-\d\d?\b|\b\d\d?/\d\d?/\d{2,4}|\b\d{4}\.\d\d?\.\d\d?\b"
_CLOCK = r"\b\d\d?:\d\d\b|\b\d\d? ?[ap]\.?m\b"
_PLACE = r"\b[A-Z][a-z]+, [A-Z][A-Za-z]+|\b(?:in|at|near|around|to) [A-Z][a-z]+"
# forms of questions and of values, and how tools name what is asked or given
_FORMS = [
    (re.compile(form, re.IGNORECASE if form != _PLACE else 0), words)
    for form, words in (
        (r"\bhow far\b", "distance"),
        (r"\bhow (?:much (?:is|does|are|do|will|would)|expensive)\b", "price cost"),
        (r"\bhow long\b", "duration time"),
        (r"\bhow old\b", "age"),
        (r"\bhow (?:tall|high)\b", "height"),
        (r"\bhow many\b", "count number"),
        (r"\bwhen\b", "date time"),
        (r"\bwhere\b", "location place"),
        (r"\bwho(?:se)?\b", "person name"),
        (r"\bwhat time\b", "time"),
        (r"\bwhat (?:day|date)\b", "date"),
        (r"[$€£¥]\s?\d", "currency amount"),
        (r"https?://", "url"),
        (r"\S@\S{1,80}\.\w", "email"),
        (_CLOCK, "time"),
        (_DAY, "date"),
        (_PLACE, "city location"),
    )
]


def alike() -> Iterator[tuple[list[str], list[str]]]:
    """Yields words, and the words that each of them stands for besides itself."""
    for line in _ALIKE.split("\n"):
        if line:
            yield line.split(), line.split()
    for line in f"{_KINDS}{_CHINESE}".split("\n"):
        words, colon, kinds = line.partition(": ")
        if colon:
            yield words.split(), kinds.split()


def implied(text: str) -> str:
    """Returns the words that the form of a question, or of a value in it, stands for."""
    return " ".join(words for form, words in _FORMS if form.search(text))


def forms() -> set[str]:
    """Returns all words that `implied` may return."""
    return {word for _, words in _FORMS for word in words.split()}
